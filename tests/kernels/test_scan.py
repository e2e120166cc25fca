"""The scan kernel against its definition in float64, interpreted here or compiled on a GPU."""

import pytest
import torch

from zoology_teach.kernels import scan
from zoology_teach.kernels.scan import linear_scan, reference

# Relative to the largest number. The state is float32, so a float32 result carries one rounding
# (6e-8) a token, damped by the decay. float16 and bfloat16 round the result once more, by 5e-4
# and 4e-3; the gradient of a multiplies by a state that was rounded so, and is rounded again.
FORWARD = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}
BACKWARD = {**FORWARD, torch.float32: 1e-4}

# One token, one channel; ragged tiles in both directions; several tiles; several channel blocks
# (of 64 for 16 bits, 32 for float32).
SHAPES = [(2, 1, 1), (3, 7, 5), (1, 150, 3), (1, 6, 70)]
# A long sequence of few channels is cut into parts: 600 tokens into four, the last of 24.
LONG = (1, 600, 1)


def draw(shape, dtype, device, seed=0):
    """Decays in 0 .. 1, both ends included, inputs, a first state and weights for the sum."""
    generator = torch.Generator().manual_seed(seed)
    b, _, d = shape
    a = torch.rand(shape, generator=generator)
    kind = torch.randint(0, 10, shape, generator=generator)
    a[kind == 0], a[kind == 1] = 0.0, 1.0
    x, s0, weight = (torch.randn(s, generator=generator) for s in (shape, (b, d), shape))
    return [z.to(device, dtype) for z in (a, x, s0, weight)]


def run(a, x, s0, weight, impl):
    """The states, and the gradients of their weighted sum."""
    inputs = [z.detach().requires_grad_() for z in (a, x, s0)]
    s = linear_scan(*inputs, impl=impl)
    return s.detach(), *torch.autograd.grad(s, inputs, weight)


def worst(got, want):
    assert got.shape == want.shape
    return float((got.double() - want).abs().max() / want.abs().max().clamp(min=1e-3))


@pytest.mark.parametrize("dtype", FORWARD, ids=str)
@pytest.mark.parametrize("shape", [*SHAPES, LONG], ids=str)
def test_agrees_with_the_definition_in_float64(shape, dtype, device):
    drawn = draw(shape, dtype, device)
    got = run(*drawn, impl="triton")
    want = run(*(z.double() for z in drawn), impl="reference")
    assert all(z.dtype == dtype for z in got)
    assert worst(got[0], want[0]) <= FORWARD[dtype]
    for name, g, w in zip(["a", "x", "s0"], got[1:], want[1:], strict=True):
        assert worst(g, w) <= BACKWARD[dtype], name


def test_the_reference_is_the_recurrence(device):
    a, x, s0, _ = draw((2, 5, 3), torch.float64, device)
    s = s0
    for t in range(5):
        s = a[:, t] * s + x[:, t]
        assert torch.equal(reference(a, x, s0)[:, t], s)
    for dtype in FORWARD:
        assert reference(a.to(dtype), x.to(dtype)).dtype == dtype


@pytest.mark.parametrize("shape", [(2, 5, 3), (1, 70, 1)], ids=str)
def test_gradients_in_float64(shape, device):
    a, x, s0, _ = (z.requires_grad_() for z in draw(shape, torch.float64, device))
    assert torch.autograd.gradcheck(
        lambda *inputs: linear_scan(*inputs, impl="triton"), (a, x, s0), fast_mode=True
    )


@pytest.fixture
def launched(monkeypatch):
    """The grid and the length of a part, of every launch."""
    calls, launch = [], scan.launch

    def listen(kernel, grid, *arguments, **constants):
        calls.append((grid, arguments[-1]))
        launch(kernel, grid, *arguments, **constants)

    monkeypatch.setattr(scan, "launch", listen)
    return calls


def test_parts_agree_with_their_whole(device, launched, monkeypatch):
    drawn = draw(LONG, torch.float64, device)
    in_parts = run(*drawn, impl="triton")
    assert launched == [((1, 4, 1), 192)] * 4  # a summary and its use, forward and backward
    launched.clear()
    monkeypatch.setattr(scan, "FEW_PROGRAMS", 0)
    whole = run(*drawn, impl="triton")
    assert launched == [((1, 1, 1), 600)] * 2
    assert all(worst(p, w) <= 1e-13 for p, w in zip(in_parts, whole, strict=True))


@pytest.mark.parametrize("n", [256, 257, 512, 1000, 8192, 100_000])
@pytest.mark.parametrize("sequences", [1, 12, 63, 64, 192])
def test_parts_are_whole_tiles_and_enough(sequences, n, device, monkeypatch):
    """They cover the sequence, and are no more programs than a GPU has use for."""
    calls = []
    monkeypatch.setattr(scan, "launch", lambda _, grid, *given, **__: calls.append((grid, given)))
    x = torch.zeros(1, 1, 1, device=device).expand(sequences, n, 1)
    linear_scan(x, x, impl="triton")
    ((_, parts, _), given), length = calls[-1], calls[-1][1][-1]
    assert (parts - 1) * length < n <= parts * length
    assert sequences * parts <= max(sequences, 256)
    assert (parts == 1) == (sequences >= 64 or n <= 256)
    assert parts == 1 or length % 64 == 0
    assert len(calls) == 1 + (parts > 1) and given[-1] == length


@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_constant_decays(decay, device):
    _, x, s0, _ = draw((1, 70, 2), torch.float32, device)
    s = linear_scan(torch.full_like(x, decay), x, s0, impl="triton")
    want = x if decay == 0 else s0[:, None] + x.cumsum(1)
    assert torch.allclose(s, want, atol=1e-5)


def test_vanishing_products_do_no_harm(device):
    """A cumulative product of these decays is 1e-300, and nothing divides by it."""
    a, x, s0, weight = draw((1, 100, 1), torch.float32, device)
    drawn = (a * 1e-3, x, s0, weight)
    got, want = run(*drawn, "triton"), run(*(z.double() for z in drawn), "reference")
    assert all(worst(g, w) <= 1e-6 for g, w in zip(got, want, strict=True))


def test_without_a_first_state_it_is_zero(device):
    a, x, s0, _ = draw((2, 9, 3), torch.float32, device)
    want = linear_scan(a, x, torch.zeros_like(s0), impl="triton")
    assert torch.equal(linear_scan(a, x, impl="triton"), want)
    assert torch.allclose(linear_scan(a, x, impl="reference"), want, atol=1e-5)


def test_the_state_hands_over(device):
    a, x, s0, _ = draw((2, 20, 3), torch.float32, device)
    whole = linear_scan(a, x, s0, impl="triton")
    first = linear_scan(a[:, :7], x[:, :7], s0, impl="triton")
    rest = linear_scan(a[:, 7:], x[:, 7:], first[:, -1], impl="triton")
    assert torch.allclose(torch.cat([first, rest], 1), whole, atol=1e-6)


def test_non_contiguous_inputs_and_gradients(device):
    drawn = draw((2, 9, 3), torch.float32, device)
    wide = [z.mT.contiguous().mT for z in drawn]
    assert not any(z.is_contiguous() for z in wide)
    for got, want in zip(run(*wide, "triton"), run(*drawn, "triton"), strict=True):
        assert torch.equal(got, want)
    a, x = drawn[0][:, :, :1].expand_as(drawn[1]), drawn[1]
    assert torch.equal(linear_scan(a, x, impl="triton"), linear_scan(a.clone(), x, impl="triton"))


@pytest.mark.parametrize("shape", [(3, 7, 5), LONG], ids=str)
def test_repeated_runs_are_bitwise_equal(shape, device):
    drawn = draw(shape, torch.float32, device)
    for first, second in zip(run(*drawn, "triton"), run(*drawn, "triton"), strict=True):
        assert torch.equal(first, second)


def test_survives_torch_compile(device):
    drawn = draw((2, 9, 3), torch.float32, device)
    compiled = torch.compile(
        lambda *inputs: linear_scan(*inputs, impl="triton") * 2, backend="aot_eager", fullgraph=True
    )
    inputs = [z.requires_grad_() for z in drawn[:3]]
    s = compiled(*inputs)
    got = (s.detach(), *torch.autograd.grad(s, inputs, drawn[3]))
    for g, w in zip(got, run(*drawn, "triton"), strict=True):
        assert torch.equal(g, 2 * w)


@pytest.mark.parametrize(
    "message, change",
    [
        (r"x shape = \(2, 3\)", {"x": torch.zeros(2, 3)}),
        (r"x shape = \(1, 3, 0\)", {"x": torch.zeros(1, 3, 0)}),
        (r"a shape = \(1, 3, 1\)", {"a": torch.zeros(1, 3, 1)}),
        (r"s0 shape = \(2,\)", {"s0": torch.zeros(2)}),
        ("a dtype = torch.int64", {"a": torch.zeros(1, 3, 2, dtype=torch.int64)}),
        ("x dtype = torch.float16: must be a's", {"x": torch.zeros(1, 3, 2).half()}),
        ("impl = 'cuda'", {"impl": "cuda"}),
    ],
)
def test_wrong_use_names_the_argument(message, change):
    with pytest.raises(ValueError, match="^" + message):
        linear_scan(**{"a": torch.zeros(1, 3, 2), "x": torch.zeros(1, 3, 2), **change})
