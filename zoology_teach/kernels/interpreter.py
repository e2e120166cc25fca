"""Triton as it is here, or its stand-in, and all that this library knows of its interpreter.

What depends on how Triton is built inside stands here and nowhere else. It was tried with Triton
3.6, 3.7 and 3.9 (tests/kernels/test_interpreter.py); another one is judged by a kernel whose sum
is known, and refused where that is wrong.
"""

import os
import time
from collections.abc import Callable
from functools import cache

import torch

from zoology_teach.checks import require


class _Missing:
    """Stands for `triton` and `tl` where Triton is not published: decorates, never runs."""

    constexpr = None

    @staticmethod
    def jit(kernel: Callable[..., None]) -> Callable[..., None]:
        return kernel


try:
    import triton
    import triton.language as tl
except ImportError:
    triton = tl = _Missing()

HAS_TRITON = not isinstance(triton, _Missing)
ABSENT = "Triton is not installed here; it is published for Linux only"
NOT_SWITCHED_ON = "TRITON_INTERPRET=1 was not set before Triton was imported: restart, and set it"
# What `triton.jit` makes, by the name of its class: is it interpreted?
KINDS = {"JITFunction": False, "InterpretedFunction": True}


def interpreting() -> bool:
    """Whether Triton's interpreter runs the kernels: on CPU tensors, program by program.

    The import of Triton decided it; TRITON_INTERPRET set later changes nothing. Raises ValueError
    for a Triton that does not say so in a way known here.
    """
    if not HAS_TRITON:
        return False
    kind = type(getattr(tl, "zeros", None)).__name__  # a function of Triton's own, decorated by it
    wanted = " or ".join(KINDS)
    allowed = f"one whose functions are {wanted}, as in constraints.txt; here they are {kind}"
    require(kind in KINDS, "triton", triton.__version__, allowed)
    return KINDS[kind]


@cache
def failure() -> str:
    """Why no kernel can be judged in this process, in one line; "" where a known sum is right."""
    if not HAS_TRITON:
        return ABSENT
    try:
        if not interpreting() and not torch.cuda.is_available():
            return NOT_SWITCHED_ON
        from zoology_teach.kernels.smallest import sum_is_right

        right = sum_is_right()
    except Exception as error:  # of any kind: it is not known what is in there
        return " ".join(f"Triton {triton.__version__} runs no kernel here: {error}".split())
    return "" if right else f"Triton {triton.__version__} runs a kernel here, but its sum is wrong"


class NoTriton(Exception):
    """Stops a notebook with a sentence in place of a traceback; stored outputs below stay."""

    def _render_traceback_(self) -> list[str]:  # what IPython shows
        return [str(self)]


def leave_ungraded(why: str) -> None:
    """Where `nbgrader autograde` runs this process, say `why` on its terminal and end the process.

    nbgrader gives 0 points for a cell that raises. A submission whose kernel is gone it refuses,
    with no points for anybody: it can be graded elsewhere.
    """
    if os.environ.get("NBGRADER_EXECUTION") == "autograde":
        os.write(2, f"\nNot graded, and no mark lost: {why}.\n".encode())
        time.sleep(1)  # until ipykernel, which reads what is written there, has passed it on
        os._exit(1)


def stop_without_triton() -> None:
    """Raise NoTriton, which says what to do, where no kernel can run."""
    why = failure()
    if why:
        leave_ungraded(why)
        raise NoTriton(
            f"{why}. So this notebook stops here, and the outputs below are those it came with. "
            "To run it: Linux, WSL 2 on Windows, or Colab."
        )
