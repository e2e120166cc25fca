"""Which implementation of a kernel runs, and what every kernel asks of its tensors.

Kernel files take `triton` and `tl` from here, so that they can be imported where Triton
cannot be installed; only asking for it raises.
"""

from typing import Any

import torch
from torch import Tensor

from zoology_teach.checks import require
from zoology_teach.kernels.derivatives import transformed
from zoology_teach.kernels.interpreter import HAS_TRITON, interpreting, triton
from zoology_teach.kernels.interpreter import tl as tl  # for the kernel files

IMPLS = ("auto", "reference", "triton")
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def uses_triton(impl: str, taken: bool, **tensors: Tensor | None) -> bool:
    """True where `impl` means Triton for these tensors: "auto" where the kernel has `taken` them.

    Under a transform of torch.func and in forward mode "auto" means the reference. Raises
    ValueError, naming the argument, for an unknown `impl`, for tensors that differ in device or
    dtype, for a dtype that is no float, and for "triton" where it cannot run.
    """
    require(impl in IMPLS, "impl", impl, f"one of {IMPLS}")
    (first, x), *others = ((name, t) for name, t in tensors.items() if t is not None)
    require(x.dtype in FLOATS, f"{first} dtype", x.dtype, f"one of {FLOATS}")
    for name, y in others:
        require(y.dtype == x.dtype, f"{name} dtype", y.dtype, f"{first}'s, {x.dtype}")
        require(y.device == x.device, f"{name} device", y.device, f"{first}'s, {x.device}")
    if impl == "triton":
        require(HAS_TRITON, "impl", impl, "'auto' or 'reference': Triton is not installed here")
        instead = "'auto' or 'reference' for CPU tensors, unless TRITON_INTERPRET=1 was set first"
        require(x.is_cuda or interpreting(), "impl", impl, instead)
        instead = "'auto' or 'reference' in forward mode and under transforms of torch.func"
        require(not transformed(), "impl", impl, instead)
    return impl == "triton" or (impl == "auto" and taken and not transformed())


def runs_on(x: Tensor) -> bool:
    """What every kernel takes: tensors with the device and the dtype of `x`."""
    return HAS_TRITON and on_gpu(x) and x.dtype in FLOATS


def on_gpu(x: Tensor) -> bool:
    """A function, so that a test can pretend."""
    return x.is_cuda


def launch(
    kernel: "triton.JITFunction", grid: tuple[int, ...], *arguments: Any, **constants: Any
) -> None:
    """Run `kernel` on the device of its first argument, a tensor.

    Raises RuntimeError in forward mode and under transforms of torch.func, which reach this only
    by way of a graph that was compiled without them.
    """
    if transformed():
        name = f"{kernel.fn.__module__}.{kernel.fn.__name__}"
        raise RuntimeError(f"{name} has no derivative in forward mode or under torch.func here")
    with torch.cuda.device_of(arguments[0]):
        kernel[grid](*arguments, **constants)


def alike(x: Tensor, *others: Tensor) -> list[Tensor]:
    """All in the dtype of `x`, or in autocast's where that is on: kernels take one dtype.

    Autocast leaves float64 as it is, as in PyTorch's own operations.
    """
    device = x.device.type
    autocast = torch.is_autocast_enabled(device) and x.dtype != torch.float64
    dtype = torch.get_autocast_dtype(device) if autocast else x.dtype
    return [y.to(dtype) for y in (x, *others)]


def must_widen(x: Tensor) -> bool:
    """Whether a kernel must turn tiles of `x` into float32 before it multiplies them.

    Triton's interpreter computes on bfloat16's raw bits, silently wrong; only loads are right.
    """
    return interpreting() and x.dtype == torch.bfloat16
