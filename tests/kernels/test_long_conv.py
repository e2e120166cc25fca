"""The long convolution against its definition in float64, interpreted here or compiled on a GPU."""

import pytest
import torch

from zoology_teach.kernels import dispatch
from zoology_teach.kernels import long_conv as module
from zoology_teach.kernels.long_conv import long_conv, reference, takes

# Relative to the largest number. Products add up in float32 (6e-8 each, and their errors average
# out), then the result is rounded once: by 5e-4 of itself in float16, by 4e-3 in bfloat16.
FORWARD = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}
BACKWARD = {**FORWARD, torch.float32: 1e-4}

# One token; less than a tile; one tile; ragged tiles; more columns than a program has, so that
# programs begin and end within a tile; one sequence, whose columns are its tiles.
SHAPES = [(2, 3, 1), (3, 2, 5), (1, 2, 64), (2, 2, 200), (37, 1, 260), (1, 1, 1000)]
# From 4096 tokens on, 16-bit tiles hold 128 numbers; more than that in columns needs two programs.
LONG = (4, 1, 4100)


def draw(shape, dtype, device, seed=0):
    """An input, a filter that keeps its size, and weights for the sum."""
    generator = torch.Generator().manual_seed(seed)
    _, d, n = shape
    u, h, weight = (torch.randn(s, generator=generator) for s in (shape, (d, n), shape))
    return [z.to(device, dtype) for z in (u, h * n**-0.5, weight)]


def run(u, h, weight, impl):
    """The output, and the gradients of its weighted sum."""
    inputs = [z.detach().requires_grad_() for z in (u, h)]
    y = long_conv(*inputs, impl=impl)
    return y.detach(), *torch.autograd.grad(y, inputs, weight)


def worst(got, want):
    assert got.shape == want.shape
    return float((got.double() - want).abs().max() / want.abs().max())


@pytest.mark.parametrize("dtype", FORWARD, ids=str)
@pytest.mark.parametrize("shape", [*SHAPES, LONG], ids=str)
def test_agrees_with_the_definition_in_float64(shape, dtype, device):
    drawn = draw(shape, dtype, device)
    got = run(*drawn, impl="triton")
    want = run(*(z.double() for z in drawn), impl="reference")
    assert all(z.dtype == dtype for z in got)
    assert worst(got[0], want[0]) <= FORWARD[dtype]
    assert worst(got[1], want[1]) <= BACKWARD[dtype], "u"
    assert worst(got[2], want[2]) <= BACKWARD[dtype], "h"


@pytest.mark.parametrize("n", [1, 2, 7])
def test_the_reference_is_the_sum(n, device):
    u, h, _ = draw((2, 3, n), torch.float64, device)
    want = torch.zeros_like(u)
    for t in range(n):
        for s in range(t + 1):
            want[:, :, t] += h[:, t - s] * u[:, :, s]
    assert torch.allclose(reference(u, h), want, atol=1e-12)
    for dtype in FORWARD:
        assert reference(u.to(dtype), h.to(dtype)).dtype == dtype


@pytest.mark.parametrize("shape", [(2, 3, 5), (1, 2, 70)], ids=str)
def test_gradients_in_float64(shape, device):
    u, h, _ = (z.requires_grad_() for z in draw(shape, torch.float64, device))
    assert torch.autograd.gradcheck(
        lambda *inputs: long_conv(*inputs, impl="triton"), (u, h), fast_mode=True
    )


def test_are_whole_operators(device):
    """Shapes without data, gradients and what torch.compile asks, of all three."""
    u, h, weight = draw((2, 2, 48), torch.float64, device)
    torch.library.opcheck(module._input_grad, (h, weight))
    torch.library.opcheck(module._filter_grad, (u, weight))
    torch.library.opcheck(module._forward, (u.requires_grad_(), h.requires_grad_()))


def test_only_the_gradient_that_is_asked_for(device):
    u, h, weight = draw((2, 2, 16), torch.float32, device)
    _, grad_u, grad_h = run(u, h, weight, "triton")
    for input, want in [(u, grad_u), (h, grad_h)]:
        input.requires_grad_()
        (got,) = torch.autograd.grad(long_conv(u, h, impl="triton"), input, weight)
        assert torch.equal(got, want)
        input.requires_grad_(False)


def test_the_future_changes_nothing(device):
    u, h, _ = draw((2, 2, 200), torch.float32, device)
    y = long_conv(u, h, impl="triton")
    for t in (1, 63, 64, 130):
        changed = torch.cat([u[..., :t], 1e6 * torch.ones_like(u[..., t:])], 2)
        assert torch.equal(long_conv(changed, h, impl="triton")[..., :t], y[..., :t])


def test_an_impulse_shifts_the_filter(device):
    _, h, _ = draw((1, 2, 150), torch.float32, device)
    for t in (0, 1, 64, 149):
        u = torch.zeros(1, 2, 150, device=device)
        u[..., t] = 1
        want = torch.nn.functional.pad(h, (t, 0))[:, :150]
        assert torch.equal(long_conv(u, h, impl="triton")[0], want)


def test_non_contiguous_inputs_and_gradients(device):
    for n in (32, 37):
        drawn = draw((3, 2, n), torch.float32, device)
        wide = [z.mT.contiguous().mT for z in drawn]
        assert not any(z.is_contiguous() for z in wide)
        for got, want in zip(run(*wide, "triton"), run(*drawn, "triton"), strict=True):
            assert torch.equal(got, want)
    u, h, _ = draw((1, 2, 32), torch.float32, device)
    u = u.expand(3, 2, 32)
    assert torch.equal(long_conv(u, h, impl="triton"), long_conv(u.clone(), h, impl="triton"))


def test_no_sequence_at_all(device):
    u, h, weight = draw((0, 2, 20), torch.float32, device)
    y, grad_u, grad_h = run(u, h, weight, "triton")
    assert y.shape == grad_u.shape == u.shape and torch.equal(grad_h, torch.zeros_like(h))


@pytest.mark.parametrize("shape", [(3, 2, 37), (2, 1, 600)], ids=str)
def test_repeated_runs_are_bitwise_equal(shape, device):
    drawn = draw(shape, torch.float32, device)
    for first, second in zip(run(*drawn, "triton"), run(*drawn, "triton"), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("n", [32, 37])
def test_survives_torch_compile(n, device):
    drawn = draw((2, 3, n), torch.float32, device)
    compiled = torch.compile(
        lambda *inputs: long_conv(*inputs, impl="triton") * 2, backend="aot_eager", fullgraph=True
    )
    inputs = [z.requires_grad_() for z in drawn[:2]]
    y = compiled(*inputs)
    got = (y.detach(), *torch.autograd.grad(y, inputs, drawn[2]))
    for g, w in zip(got, run(*drawn, "triton"), strict=True):
        assert torch.equal(g, 2 * w)


@pytest.mark.parametrize(
    "dtype, longest",
    [(torch.float16, 8192), (torch.bfloat16, 8192), (torch.float32, 512), (torch.float64, 0)],
    ids=str,
)
def test_auto_takes_triton_up_to_the_crossing(dtype, longest, device, monkeypatch):
    """As on a GPU, whether there is one or not; by name it takes any length."""
    monkeypatch.setattr(dispatch, "on_gpu", lambda x: True)
    monkeypatch.setattr(module, "reference", lambda u, h: "torch.fft")
    monkeypatch.setattr(module, "_forward", lambda u, h: u + 1)
    for n, impl, want in [
        (max(longest, 1), "auto", longest > 0),
        (longest + 1, "auto", False),
        (longest + 1, "triton", True),
        (1, "reference", False),
    ]:
        u, h = (torch.ones(s, device=device, dtype=dtype) for s in ((1, 2, n), (2, n)))
        assert (long_conv(u, h, impl=impl) != "torch.fft") == want


def test_takes_only_a_filter_that_is_as_long_as_u(monkeypatch):
    monkeypatch.setattr(dispatch, "on_gpu", lambda x: True)
    u = torch.ones(2, 3, 20)
    assert takes(u, torch.ones(3, 20))
    for shape in [(3, 19), (3, 21), (1, 20), (20,), (2, 3, 20), (1, 3, 20)]:
        assert not takes(u, torch.ones(shape))
    assert not takes(u[0], torch.ones(20))


@pytest.mark.parametrize(
    "message, change",
    [
        (r"u shape = \(2, 3\)", {"u": torch.zeros(2, 3)}),
        (r"u shape = \(1, 0, 3\)", {"u": torch.zeros(1, 0, 3)}),
        (r"h shape = \(1, 3\)", {"h": torch.zeros(1, 3)}),
        (r"h shape = \(2, 4\)", {"h": torch.zeros(2, 4)}),
        ("u dtype = torch.int64", {"u": torch.zeros(1, 2, 3, dtype=torch.int64)}),
        ("u dtype = torch.bool", {"u": torch.zeros(1, 2, 3, dtype=torch.bool)}),
        ("h dtype = torch.float16: must be u's", {"h": torch.zeros(2, 3).half()}),
        ("h device = .*meta.*: must be u's", {"h": torch.zeros(2, 3, device="meta")}),
        ("impl = 'cuda'", {"impl": "cuda"}),
    ],
)
def test_wrong_use_names_the_argument(message, change):
    with pytest.raises(ValueError, match="^" + message):
        long_conv(**{"u": torch.zeros(1, 2, 3), "h": torch.zeros(2, 3), **change})
