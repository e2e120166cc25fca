"""The short convolution and its gate against their definition, interpreted or compiled."""

import itertools

import pytest
import torch

from zoology_teach.kernels import short_conv as module
from zoology_teach.kernels.short_conv import MAX_TAPS, reference, short_conv

# Relative to the largest number. Sums are kept in float32, 6e-8 a term: 8 taps forward, up to 150
# rows in the gradients of filter and bias. Then the result is rounded, once: by 5e-4 of itself in
# float16, by 4e-3 in bfloat16, or by 8e-3 where the interpreter cuts bits off instead.
FORWARD = {torch.float32: 1e-6, torch.float16: 6e-4, torch.bfloat16: 8e-3}
BACKWARD = {**FORWARD, torch.float32: 1e-5}

# (B, N, D), k, bias, gate. A program has 64 channels and 64 rows, or all D and more rows. One
# token; one tile of three sequences; exact tiles; ragged ones, cut through the sequences.
CASES = [
    ((2, 1, 3), 3, True, True),
    ((3, 21, 5), 4, False, False),
    ((2, 64, 64), 2, True, False),
    ((1, 70, 70), 8, True, True),
    ((3, 50, 130), 3, False, True),
    ((1, 4100, 1), 3, True, True),
]
PARTS = list(itertools.product([False, True], repeat=2))


def draw(shape, taps, dtype, device, bias=True, gate=True, seed=0):
    """u, filter, bias and gate (None: there is none), and weights for the sum of the result."""
    generator = torch.Generator().manual_seed(seed)
    d = shape[2]
    sizes = [shape, (d, taps), (d,) if bias else None, shape if gate else None, shape]
    return [s and torch.randn(s, generator=generator).to(device, dtype) for s in sizes]


def run(*drawn, impl="triton", function=short_conv):
    """The result, and the gradients of its weighted sum for every input that there is."""
    *inputs, weight = (x if x is None else x.detach() for x in drawn)
    given = [x.requires_grad_() for x in inputs if x is not None]
    y = function(*inputs, impl=impl)
    return y.detach(), *torch.autograd.grad(y, given, weight)


def in_float64(drawn):
    return run(*(x if x is None else x.double() for x in drawn), impl="reference")


def worst(got, want):
    assert got.shape == want.shape
    return float((got.double() - want).abs().max() / want.abs().max())


@pytest.mark.parametrize("dtype", FORWARD, ids=str)
@pytest.mark.parametrize("shape, taps, bias, gate", CASES, ids=str)
def test_agrees_with_the_definition_in_float64(shape, taps, bias, gate, dtype, device):
    drawn = draw(shape, taps, dtype, device, bias, gate)
    got, want = run(*drawn), in_float64(drawn)
    assert all(x.dtype == dtype for x in got)
    assert worst(got[0], want[0]) <= FORWARD[dtype]
    for g, w in zip(got[1:], want[1:], strict=True):
        assert worst(g, w) <= BACKWARD[dtype], tuple(g.shape)


@pytest.mark.parametrize("bias, gate", PARTS)
@pytest.mark.parametrize("taps", range(1, MAX_TAPS + 1))
def test_every_number_of_taps(taps, bias, gate, device):
    """Above 5 they are more than there are tokens."""
    drawn = draw((2, 5, 3), taps, torch.float64, device, bias, gate, seed=taps)
    for got, want in zip(run(*drawn), in_float64(drawn), strict=True):
        assert got.shape == want.shape and torch.allclose(got, want, rtol=0, atol=1e-13)


@pytest.mark.parametrize("bias, gate", PARTS)
def test_the_reference_is_the_sum(bias, gate, device):
    for n, taps in [(1, 1), (1, 3), (4, 3), (2, 8)]:
        u, filter, b, g, _ = draw((2, n, 3), taps, torch.float64, device, bias, gate)
        want = torch.zeros_like(u)
        for t in range(n):
            for s in range(max(0, t - taps + 1), t + 1):
                want[:, t] += filter[:, t - s] * u[:, s]
        want = (want + (b if bias else 0)) * (g if gate else 1)
        assert torch.allclose(reference(u, filter, b, g), want, atol=1e-13)


@pytest.mark.parametrize("bias, gate", PARTS)
def test_gradients_in_float64(bias, gate, device):
    *inputs, _ = draw((2, 6, 3), 4, torch.float64, device, bias, gate)
    inputs = [x if x is None else x.requires_grad_() for x in inputs]
    assert torch.autograd.gradcheck(
        lambda *inputs: short_conv(*inputs, impl="triton"), inputs, fast_mode=True
    )


@pytest.mark.parametrize("bias, gate", PARTS)
def test_are_whole_operators(bias, gate, device):
    """Shapes without data, gradients and what torch.compile asks, of both."""
    drawn = draw((2, 6, 3), 4, torch.float64, device, bias, gate)
    torch.library.opcheck(module._backward, drawn)
    inputs = [x if x is None else x.requires_grad_() for x in drawn[:4]]
    torch.library.opcheck(module._forward, inputs)


def test_only_the_gradient_that_is_asked_for(device):
    *inputs, weight = draw((2, 9, 3), 3, torch.float32, device)
    _, *wants = run(*inputs, weight)
    for i, want in enumerate(wants):
        alone = [x.detach().requires_grad_(i == j) for j, x in enumerate(inputs)]
        (got,) = torch.autograd.grad(short_conv(*alone, impl="triton"), alone[i], weight)
        assert torch.equal(got, want)


def test_sequences_stay_apart(device):
    """What is beside a sequence in memory is NaN, which would spread even with a weight of 0."""
    drawn = draw((3, 50, 2), 8, torch.float32, device)
    y, grad_u, _, _, grad_gate = run(*drawn)
    for x in (drawn[0], drawn[3], drawn[4]):
        x[0] = x[2] = float("nan")
    got = run(*drawn)
    assert torch.equal(got[0][1], y[1])
    assert torch.equal(got[1][1], grad_u[1]) and torch.equal(got[4][1], grad_gate[1])


def test_the_future_changes_nothing(device):
    drawn = draw((2, 100, 64), 4, torch.float32, device)
    y, _, _, _, grad_gate = run(*drawn)
    for t in (1, 63, 64, 99):
        u = drawn[0].clone()
        u[:, t:] = float("nan")
        got = run(u, *drawn[1:])
        assert torch.equal(got[0][:, :t], y[:, :t])
        assert torch.equal(got[4][:, :t], grad_gate[:, :t])


@pytest.mark.parametrize("dtype", FORWARD, ids=str)
def test_repeated_runs_are_bitwise_equal(dtype, device):
    """Three tiles of rows and two of channels add to the gradients of filter and bias."""
    drawn = draw((2, 70, 70), 4, dtype, device)
    for first, second in zip(run(*drawn), run(*drawn), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("shape", [(1, 70, 70), (1, 1030, 3)], ids=str)
def test_nothing_is_written_beside_the_results(shape, device, monkeypatch):
    """All that they are written into lies within larger buffers of NaN."""
    buffers, margin = [], 8192

    def within(allocate):
        def allocated(*args, **kwargs):
            x = allocate(*args, **kwargs)
            if not x.numel():
                return x
            buffers.append(x.new_full((x.numel() + 2 * margin,), float("nan")))
            return buffers[-1][margin:-margin].view(x.shape)

        return allocated

    for owner, name in [(torch, "empty"), (torch, "empty_like"), (torch.Tensor, "new_empty")]:
        monkeypatch.setattr(owner, name, within(getattr(owner, name)))
    run(*draw(shape, 4, torch.float32, device))
    assert len(buffers) >= 4  # y, two gradients and the lines of sums
    for buffer in buffers:
        assert not buffer[margin:-margin].isnan().any()
        assert buffer[:margin].isnan().all() and buffer[-margin:].isnan().all()


def test_non_contiguous_inputs_and_gradients(device):
    drawn = draw((2, 9, 4), 3, torch.float32, device)
    wide = [torch.stack([x, x], -1)[..., 0] for x in drawn]
    assert not any(x.is_contiguous() for x in wide)
    for got, want in zip(run(*wide), run(*drawn), strict=True):
        assert torch.equal(got, want)
    _, filter, bias, gate, _ = drawn
    u, gate = gate[:1].expand(2, 9, 4), gate[:, :, :1].expand(2, 9, 4)
    want = short_conv(u.clone(), filter, bias, gate.clone(), impl="triton")
    assert torch.equal(short_conv(u, filter, bias, gate, impl="triton"), want)


def test_an_empty_batch_and_an_empty_sequence(device):
    for shape in [(0, 5, 3), (2, 0, 3)]:
        y, grad_u, grad_filter, grad_bias, grad_gate = run(*draw(shape, 4, torch.float32, device))
        assert y.shape == grad_u.shape == grad_gate.shape == shape
        assert grad_filter.shape == (3, 4) and not grad_filter.any()
        assert grad_bias.shape == (3,) and not grad_bias.any()


@pytest.mark.parametrize("bias, gate", PARTS)
def test_survives_torch_compile(bias, gate, device):
    drawn = draw((2, 9, 3), 4, torch.float32, device, bias, gate)

    def twice(*inputs, impl):
        return short_conv(*inputs, impl=impl) * 2

    compiled = torch.compile(twice, backend="aot_eager", fullgraph=True)
    for got, want in zip(run(*drawn, function=compiled), run(*drawn), strict=True):
        assert torch.equal(got, 2 * want)


@pytest.mark.parametrize(
    "message, change",
    [
        (r"u shape = \(2, 3\)", {"u": torch.zeros(2, 3)}),
        (r"u shape = \(1, 2, 0\)", {"u": torch.zeros(1, 2, 0), "filter": torch.zeros(0, 2)}),
        (r"filter shape = \(3,\)", {"filter": torch.zeros(3)}),
        (r"filter shape = \(2, 4\): must be \(3, k\)", {"filter": torch.zeros(2, 4)}),
        (r"filter shape = \(3, 0\)", {"filter": torch.zeros(3, 0)}),
        (
            r"filter shape = \(3, 9\): must be .* k <= 8",
            {"filter": torch.zeros(3, 9), "impl": "triton"},
        ),
        (r"bias shape = \(2,\): must be \(3,\)", {"bias": torch.zeros(2)}),
        (r"gate shape = \(1, 5, 1\): must be u's", {"gate": torch.zeros(1, 5, 1)}),
        ("u dtype = torch.int64", {"u": torch.zeros(1, 5, 3, dtype=torch.int64)}),
        ("filter dtype = torch.float16: must be u's", {"filter": torch.zeros(3, 4).half()}),
        ("bias dtype = torch.float64: must be u's", {"bias": torch.zeros(3).double()}),
        ("gate dtype = torch.bfloat16: must be u's", {"gate": torch.zeros(1, 5, 3).bfloat16()}),
        ("gate device = .*meta.*: must be u's", {"gate": torch.zeros(1, 5, 3, device="meta")}),
        ("impl = 'cuda'", {"impl": "cuda"}),
    ],
)
def test_wrong_use_names_the_argument(message, change, device):
    given = {"u": torch.zeros(1, 5, 3), "filter": torch.zeros(3, 4), **change}
    placed = {name: x.to(device) for name, x in given.items() if name != "impl" and not x.is_meta}
    with pytest.raises(ValueError, match="^" + message):
        short_conv(**{**given, **placed})
