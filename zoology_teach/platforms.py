"""Where the book runs, what does not run there, and what to do: one table for all who ask.

`zoology-teach doctor` shows the row of the machine, README.md all of them (a test compares).
"""

import platform
from dataclasses import dataclass


@dataclass(frozen=True)
class Platform:
    """A kind of machine: what runs, what does not, what to do about it."""

    name: str
    runs: str
    lacks: str
    advice: str


LINUX = Platform(
    "Linux, x86-64",
    "everything; grading too, in the sandbox",
    "nothing",
    "no GPU: `make lab TORCH=cpu` takes half the disk",
)
WSL = Platform(
    "Windows with WSL 2",
    "everything, as on Linux",
    "nothing",
    "clone inside WSL (not under `/mnt/c`, which is slow); follow the row of Linux",
)
WINDOWS = Platform(
    "Windows",
    "chapters 00 to 11, 14 and their exercises",
    "chapters 12 and 13 (Triton is published for Linux only), the grader's sandbox, `make`",
    'use WSL 2; or `pip install -e ".[lab]"`, then `jupyter lab`',
)
APPLE = Platform(
    "macOS, Apple silicon",
    "chapters 00 to 11, 14 and their exercises, on the CPU",
    "chapters 12 and 13 (Triton is published for Linux only), the grader's sandbox",
    "macOS 14 or later; grade on Linux. The CPU is used by choice: the models are small. On `mps` "
    "your own code runs in float32 (it has no float64), and PyTorch names an operation it lacks; "
    "`PYTORCH_ENABLE_MPS_FALLBACK=1` then takes the CPU for that one",
)
INTEL_MAC = Platform(
    "macOS, Intel",
    "nothing: PyTorch ended at 2.2 there, the library needs 2.11",
    "the library, every chapter",
    "read the notebooks as they are stored; run them on Colab or on a Linux machine",
)
ARM = Platform(
    "Linux, ARM (aarch64)",
    "everything: PyTorch and Triton are published for it",
    "nothing",
    "as on x86-64",
)
OTHER = Platform(
    "anything else",
    "chapters 00 to 11 and 14 where PyTorch 2.11 can be had",
    "chapters 12 and 13 without Triton, the grader's sandbox without bubblewrap",
    "read the notebooks as they are stored; run them on Colab or on a Linux machine",
)
TABLE = (LINUX, WSL, WINDOWS, APPLE, INTEL_MAC, ARM, OTHER)


def here() -> Platform:
    """The row of this machine."""
    system, machine = platform.system(), platform.machine().lower()
    is_arm = machine in ("arm64", "aarch64")
    if system == "Linux":
        if "microsoft" in platform.release().lower():
            return WSL
        return {"x86_64": LINUX, "aarch64": ARM}.get(machine, OTHER)
    if system == "Darwin":
        return APPLE if is_arm else INTEL_MAC
    return WINDOWS if system == "Windows" else OTHER


def markdown() -> str:
    """The table as it stands in README.md."""
    lines = ["| Machine | Runs | Does not run | What to do |", "|---|---|---|---|"]
    lines += [f"| {p.name} | {p.runs} | {p.lacks} | {p.advice} |" for p in TABLE]
    return "\n".join(lines)
