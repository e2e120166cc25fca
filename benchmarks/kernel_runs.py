"""One implementation at one shape: whether its answers are right, its time, its peak memory."""

from collections.abc import Callable, Iterator

import torch
from kernel_cases import Kernel
from kernel_peers import Peer
from torch import Tensor

# The largest error relative to the largest number. In 16 bits PyTorch rounds after each operation.
TOLERANCE = {2: 3e-2, 4: 1e-3}


def differentiable(inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """Leaves with the same numbers."""
    return [x.detach().requires_grad_(x.is_floating_point()) for x in inputs]


def answers(peer: Peer, inputs: tuple, weight: Tensor | None) -> Iterator[Tensor]:
    """Its output, and with `weight` the gradients of the output's weighted sum."""
    leaves = differentiable(peer.prepare(*inputs))
    with torch.set_grad_enabled(weight is not None):
        y = peer.output(peer.call(*leaves), *inputs)
    yield y.detach()
    if weight is not None:
        floats = [x for x in leaves if x.requires_grad]
        yield from peer.gradients(torch.autograd.grad(y, floats, weight), *inputs)


def error(kernel: Kernel, peer: Peer, inputs: tuple, direction: str) -> float:
    """The largest distance from the definition in float32, or in float64 for float32."""
    wide = torch.float32 if inputs[0].dtype.itemsize == 2 else torch.float64
    exact = tuple(x.to(wide) if x.is_floating_point() else x for x in inputs)
    weight = None
    if direction != "forward":
        with torch.no_grad():
            weight = torch.randn_like(kernel.exact(*exact)).to(inputs[0].dtype)
    truth = answers(Peer(kernel.exact), exact, None if weight is None else weight.to(wide))
    got = answers(peer, inputs, weight)
    pairs = zip(got, truth, strict=True)
    return float(torch.stack([(g - t).abs().max() / t.abs().max() for g, t in pairs]).max())


def work(peer: Peer, inputs: tuple, direction: str) -> tuple[Callable[[], object], int]:
    """One pass of it, and the bytes that lie ready for it."""
    leaves = differentiable(peer.prepare(*inputs))
    ready = sum(x.nbytes for x in leaves)

    def forward() -> Tensor:
        with torch.no_grad():
            return peer.call(*leaves)

    if direction == "forward":
        return forward, ready
    floats, weight = [x for x in leaves if x.requires_grad], torch.randn_like(forward())
    return lambda: torch.autograd.grad(peer.call(*leaves), floats, weight), ready + weight.nbytes


def timed(call: Callable[[], object]) -> tuple[float, float, float]:
    """Milliseconds: median, 20 % and 80 % quantile."""
    from triton.testing import do_bench

    return tuple(do_bench(call, quantiles=[0.5, 0.2, 0.8]))


def allocated(call: Callable[[], object]) -> int:
    """The most bytes that a call adds to what is there."""
    call()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def attempt(kernel: Kernel, peer: Peer, inputs: tuple, direction: str, timing: bool = True) -> dict:
    """Time and memory, or a note that says why there are none."""
    try:
        wrong = error(kernel, peer, inputs, direction)
        if not wrong <= TOLERANCE[inputs[0].dtype.itemsize]:  # nor NaN
            return {"note": f"wrong by {wrong:.2g} of the largest number"}
        if not timing:
            return {"note": "agrees"}
        call, ready = work(peer, inputs, direction)
        peak = allocated(call) + ready
        ms, p20, p80 = timed(call)
    except torch.OutOfMemoryError:
        return {"note": "out of memory"}
    except torch.AcceleratorError:  # the GPU answers nothing any more
        raise
    except Exception as failure:  # a peer's own trouble must not cost the others their times
        return {"note": f"failed: {type(failure).__name__}: {failure}".split("\n")[0][:200]}
    return {"ms": ms, "ms_p20": p20, "ms_p80": p80, "peak_mb": peak / 1e6}
