"""Derivatives that no kernel computes: forward mode, torch.func, gradients of gradients.

A kernel gives one gradient. All others are those of the reference, which PyTorch differentiates
in any way and as often as it is asked.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.autograd import forward_ad


def transformed() -> bool:
    """Whether forward mode or a transform of torch.func is on, which sees nothing of a kernel.

    True for all tensors of the moment: torch.compile can follow that, and guards against it.
    """
    return forward_ad._current_level >= 0 or torch._C._are_functorch_transforms_active()


def beyond_one_gradient() -> bool:
    """Asked in a backward: whether its result is to be differentiated in its turn."""
    return torch.is_grad_enabled() or transformed()  # create_graph=True enables it


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
