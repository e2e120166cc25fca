"""Sizes of nothing, and 16-bit numbers on a CPU: the right shapes and gradients of zero."""

import pytest
import torch

from tests.kernels.every_kernel import EVERY

IMPLS = ["auto", "reference", "triton"]


def run(name, inputs, impl):
    inputs = [x.requires_grad_() for x in inputs]
    y = EVERY[name].function(*inputs, impl=impl)
    return y.detach(), *torch.autograd.grad(y.sum(), inputs)


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("sizes", [(0, 5, 3), (2, 0, 3), (0, 0, 3)], ids=str)
@pytest.mark.parametrize("name", EVERY)
def test_no_sequence_and_no_token(name, sizes, impl, device):
    inputs = EVERY[name].draw(*sizes, dtype=torch.float32, device=device)
    y, *grads = run(name, inputs, impl)
    assert y.shape == inputs[0].shape and not y.numel()
    for g, x in zip(grads, inputs, strict=True):
        assert g.shape == x.shape and not g.any()


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("name", EVERY)
def test_no_channel_is_an_error(name, impl, device):
    inputs = EVERY[name].draw(2, 5, 0, device=device)
    with pytest.raises(ValueError, match=r"^[uxq] shape = \(2, "):
        EVERY[name].function(*inputs, impl=impl)


@pytest.mark.parametrize("name", EVERY)
def test_a_batch_that_does_not_match_is_an_error(name, device):
    """Every input after the first, one row too long in its first dimension."""
    inputs = EVERY[name].draw(device=device)
    for i, x in enumerate(inputs[1:], 1):
        changed = [*inputs[:i], torch.cat([x, x[:1]]), *inputs[i + 1 :]]
        with pytest.raises(ValueError, match=r"^[a-z0-9_]+ shape = "):
            EVERY[name].function(*changed, impl="triton")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", EVERY)
def test_16_bits_on_a_cpu(name, dtype):
    """Rounded once a step: to 5e-4 in float16, to 4e-3 in bfloat16, and a few steps."""
    inputs = EVERY[name].draw(dtype=dtype)
    want = run(name, [x.detach().double() for x in inputs], "reference")
    for g, w in zip(run(name, inputs, "auto"), want, strict=True):
        assert g.dtype == dtype
        assert (g.double() - w).abs().max() <= 0.03 * w.abs().max()
