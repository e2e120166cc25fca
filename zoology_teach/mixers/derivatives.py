"""When a derivative that is written out has to make way for PyTorch's own.

The convolutions and the scan are `torch.autograd.Function`s, for the sake of speed. One such
gives a first derivative and no more. Whoever asks for another (a gradient of a gradient, a
`torch.func` transform, forward mode) gets the same formula in plain operations, which PyTorch
differentiates to any order.
"""

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual


def transformed(*tensors: Tensor) -> bool:
    """Whether `torch.func` (grad, vmap, jvp, ...) or forward mode looks at what is computed."""
    if torch.compiler.is_compiling():
        return False
    if torch._C._are_functorch_transforms_active():
        return True
    batched = torch._C._functorch.is_legacy_batchedtensor  # autograd.grad(is_grads_batched=True)
    return any(unpack_dual(x).tangent is not None or batched(x) for x in tensors)


def differentiated_again(grad: Tensor) -> bool:
    """In a backward pass: whether its result will be differentiated, or is transformed."""
    return torch.is_grad_enabled() or transformed(grad)
