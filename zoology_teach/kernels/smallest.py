"""The smallest Triton program: out = x + y. Where it runs, Triton works.

    python -m zoology_teach.kernels.smallest

``zoology-teach doctor`` and the grader run it so, in processes of their own, because Triton reads
TRITON_INTERPRET when a kernel is defined. It imports none of its neighbours: what fails here is
Triton's fault, or the machine's.
"""

import torch
import triton
import triton.language as tl


@triton.jit
def add(x, y, out, n, BLOCK: tl.constexpr):
    """One program: BLOCK of the n numbers of out = x + y."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < n
    tl.store(out + i, tl.load(x + i, mask=inside) + tl.load(y + i, mask=inside), mask=inside)


def sum_is_right() -> bool:
    """Add two vectors whose length is no multiple of the block; whether the sum is right."""
    is_compiled = isinstance(add, triton.JITFunction)
    x = torch.arange(100.0, device="cuda" if is_compiled else "cpu")
    out = torch.full_like(x, float("nan"))
    add[(triton.cdiv(100, 64),)](x, 2 * x, out, 100, BLOCK=64)
    return torch.equal(out, 3 * x)


def main() -> None:
    """Exit with 1 if the sum is wrong."""
    raise SystemExit(0 if sum_is_right() else "the kernel ran, but its sum is wrong")


if __name__ == "__main__":
    main()
