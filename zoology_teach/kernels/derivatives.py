"""Derivatives that are not written out: forward mode, torch.func, gradients of gradients.

A kernel, or a `torch.autograd.Function`, gives one gradient. All others are those of the same
formula in plain operations, which PyTorch differentiates in any way and as often as it is asked.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.autograd import forward_ad


def transformed(*tensors: Tensor) -> bool:
    """Whether forward mode or a transform of torch.func is on, which sees nothing of a kernel.

    True for all tensors of the moment: torch.compile can follow that, and guards against it.
    Among `tensors` there may also be a batch of gradients (`is_grads_batched`).
    """
    if forward_ad._current_level >= 0 or torch._C._are_functorch_transforms_active():
        return True
    if torch.compiler.is_compiling():
        return False
    return any(map(torch._C._functorch.is_legacy_batchedtensor, tensors))


def beyond_one_gradient(*grads: Tensor) -> bool:
    """Asked in a backward: whether its result is to be differentiated in its turn."""
    return torch.is_grad_enabled() or transformed(*grads)  # create_graph=True enables it


def gradients_of_reference(
    reference: Callable[..., Tensor], inputs: Sequence[Tensor | None], grad: Tensor
) -> list[Tensor | None]:
    """The gradients of `inputs` that require one, by operations that can be differentiated again.

    reference  of `inputs`, gives the output whose gradient `grad` is
    """
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        # Views, so that one tensor given as two arguments has two gradients.
        inputs = [x if x is None else x.view_as(x) for x in inputs]
        wanted = [x for x in inputs if x is not None and x.requires_grad]
        found = torch.autograd.grad(reference(*inputs), wanted, grad, create_graph=create_graph)
    gradients = dict(zip(map(id, wanted), found, strict=True))
    return [gradients.get(id(x)) for x in inputs]
