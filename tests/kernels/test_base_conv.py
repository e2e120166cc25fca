"""BaseConv as one operation, against its definition in float64, interpreted or compiled."""

import pytest
import torch

from zoology_teach.kernels import base_conv as module
from zoology_teach.kernels.base_conv import base_conv, reference

# Relative to the largest number. float32 sums of some hundred products carry a rounding (6e-8)
# each. 16-bit results are rounded once, by 5e-4 (float16) or 4e-3 (bfloat16, cut off instead of
# rounded in the interpreter); in backward the kept projection and the gate's gradient are too.
FORWARD = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}
BACKWARD = {**FORWARD, torch.float32: 1e-4}
NAMES = ("u", "weight", "bias_proj", "filter", "bias_conv")

# (B, N, D, k): one token; a filter longer than the sequence; ragged rows, channels and summands;
# a second block of channels; the paper's 768 channels in 6 blocks.
SHAPES = [
    (2, 1, 1, 3),
    (3, 2, 5, 8),
    (2, 41, 7, 2),
    (1, 70, 70, 3),
    (1, 140, 130, 4),
    (1, 3, 768, 3),
]


def draw(shape, dtype, device, seed=0):
    """The five inputs, and weights for the sum of the result. Rows of `weight` have length 1."""
    b, n, d, k = shape
    generator = torch.Generator().manual_seed(seed)
    shapes = [(b, n, d), (d, d), (d,), (d, k), (d,), (b, n, d)]
    drawn = [torch.randn(s, generator=generator) for s in shapes]
    drawn[1] *= d**-0.5
    return [x.to(device, dtype) for x in drawn]


def run(*drawn, impl):
    """The result, and the gradients of its weighted sum."""
    inputs = [x.detach().requires_grad_() for x in drawn[:5]]
    y = base_conv(*inputs, impl=impl)
    return y.detach(), *torch.autograd.grad(y, inputs, drawn[5])


def worst(got, want):
    assert got.shape == want.shape
    return float((got.double() - want).abs().max() / want.abs().max().clamp(min=0.1))


@pytest.fixture(params=["fused", "two kernels"])
def way(request, monkeypatch):
    monkeypatch.setattr(module, "fuses", lambda u: request.param == "fused")


@pytest.mark.parametrize("dtype", FORWARD, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_agrees_with_the_definition_in_float64(shape, dtype, device, way):
    drawn = draw(shape, dtype, device)
    got = run(*drawn, impl="triton")
    want = run(*(x.double() for x in drawn), impl="reference")
    assert all(x.dtype == dtype for x in got)
    assert worst(got[0], want[0]) <= FORWARD[dtype]
    for name, g, w in zip(NAMES, got[1:], want[1:], strict=True):
        assert worst(g, w) <= BACKWARD[dtype], name


def test_the_reference_is_the_sum(device):
    u, weight, bias_proj, filter, bias_conv, _ = draw((2, 5, 3, 2), torch.float64, device)
    y = reference(u, weight, bias_proj, filter, bias_conv)
    for t in range(5):
        conv = bias_conv + sum(filter[:, lag] * u[:, t - lag] for lag in range(min(2, t + 1)))
        assert torch.allclose(y[:, t], (u[:, t] @ weight.T + bias_proj) * conv)


def test_is_what_the_mixer_computes(device):
    from zoology_teach.mixers import MIXERS

    mixer = MIXERS["base_conv"](6).to(device)
    u = torch.randn(2, 9, 6, generator=torch.Generator().manual_seed(0)).to(device)
    projection, taps = mixer.projection, mixer.explicit_filter
    y = base_conv(u, projection.weight, projection.bias, taps, mixer.conv_bias, impl="triton")
    assert torch.allclose(y, mixer(u), atol=1e-6)


def test_gradients_in_float64(device, way):
    inputs = [x.requires_grad_() for x in draw((2, 4, 3, 2), torch.float64, device)[:5]]
    assert torch.autograd.gradcheck(
        lambda *inputs: base_conv(*inputs, impl="triton"), inputs, fast_mode=True
    )


def test_is_a_whole_operator(device, way):
    inputs = [x.requires_grad_() for x in draw((2, 4, 3, 2), torch.float64, device)[:5]]
    torch.library.opcheck(module._forward, (*inputs, True))


def test_the_projection_is_kept_only_for_backward(device, monkeypatch, way):
    kept, forward = [], module._forward
    monkeypatch.setattr(module, "_forward", lambda *x: kept.append(x[-1]) or forward(*x))
    inputs = draw((1, 4, 3, 2), torch.float32, device)[:5]
    plain = base_conv(*inputs, impl="triton")
    inputs[3].requires_grad_()
    with torch.no_grad():
        assert torch.equal(base_conv(*inputs, impl="triton"), plain)
    assert torch.equal(base_conv(*inputs, impl="triton"), plain)
    assert kept == [False, False, True]
    assert forward(*inputs, False)[1].numel() == 0


def test_the_future_and_the_other_sequence_change_nothing(device, way):
    drawn = draw((2, 20, 5, 8), torch.float32, device)
    y = base_conv(*drawn[:5], impl="triton")
    drawn[0][0, 12:] = 1e6
    drawn[0][1, :3] = 1e6
    changed = base_conv(*drawn[:5], impl="triton")
    assert torch.equal(changed[0, :12], y[0, :12])
    assert torch.equal(changed[1, 10:], y[1, 10:])


def test_non_contiguous_inputs_and_gradients(device, way):
    drawn = draw((2, 9, 4, 3), torch.float32, device)
    wide = [x.mT.contiguous().mT if x.dim() > 1 else x.repeat_interleave(2)[::2] for x in drawn]
    assert not any(x.is_contiguous() for x in wide)
    for got, want in zip(run(*wide, impl="triton"), run(*drawn, impl="triton"), strict=True):
        assert torch.allclose(got, want, atol=1e-6)


def test_an_empty_batch(device, way):
    drawn = draw((0, 5, 4, 3), torch.float32, device)
    y, grad_u, *grads = run(*drawn, impl="triton")
    assert y.shape == grad_u.shape == (0, 5, 4)
    assert all(torch.equal(g, torch.zeros_like(g)) for g in grads)


@pytest.mark.parametrize("dtype", FORWARD, ids=str)
def test_repeated_runs_are_bitwise_equal(dtype, device, way):
    drawn = draw((2, 70, 20, 3), dtype, device)
    for first, second in zip(run(*drawn, impl="triton"), run(*drawn, impl="triton"), strict=True):
        assert torch.equal(first, second)


def test_survives_torch_compile(device, way):
    drawn = draw((2, 9, 4, 3), torch.float32, device)
    compiled = torch.compile(
        lambda *inputs: base_conv(*inputs, impl="triton") * 2, backend="aot_eager", fullgraph=True
    )
    inputs = [x.requires_grad_() for x in drawn[:5]]
    y = compiled(*inputs)
    got = (y.detach(), *torch.autograd.grad(y, inputs, drawn[5]))
    for g, w in zip(got, run(*drawn, impl="triton"), strict=True):
        assert torch.allclose(g, 2 * w, atol=1e-6)


def test_what_is_fused_by_width_and_dtype():
    for dtype, widest in [(torch.bfloat16, 1024), (torch.float32, 128), (torch.float64, 0)]:
        assert widest == 0 or module.fuses(torch.empty(1, 1, widest, dtype=dtype))
        assert not module.fuses(torch.empty(1, 1, widest + 1, dtype=dtype))


@pytest.mark.parametrize(
    "message, change",
    [
        (r"u shape = \(2, 3\)", {"u": torch.zeros(2, 3)}),
        (r"weight shape = \(3, 2\): must be \(3, 3\)", {"weight": torch.zeros(3, 2)}),
        (r"bias_proj shape = \(2,\)", {"bias_proj": torch.zeros(2)}),
        (
            r"filter shape = \(3, 9\): must be .* k <= 8",
            {"filter": torch.zeros(3, 9), "impl": "triton"},
        ),
        (r"bias_conv shape = \(4,\)", {"bias_conv": torch.zeros(4)}),
        ("u dtype = torch.int64", {"u": torch.zeros(1, 2, 3, dtype=torch.int64)}),
        ("weight dtype = torch.float16: must be u's", {"weight": torch.zeros(3, 3).half()}),
        ("impl = 'cuda'", {"impl": "cuda"}),
    ],
)
def test_wrong_use_names_the_argument(message, change, device):
    given = dict(zip(NAMES, draw((1, 2, 3, 2), torch.float32, device), strict=False))
    change = {name: x if name == "impl" else x.to(device) for name, x in change.items()}
    with pytest.raises(ValueError, match="^" + message):
        base_conv(**{**given, **change})
