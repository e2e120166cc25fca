"""What is installed here, in which version and how large, and the command for what is missing."""

import re
import shlex
import sys
from importlib import metadata

from zoology_teach.files import checkout

PIP_INSTALL = f"{shlex.quote(sys.executable)} -m pip install"
OF_CUDA = re.compile(r"nvidia-|cuda-")  # what only a GPU build of torch requires


def pins() -> dict[str, str]:
    """The exact versions the outputs of the book were made with; empty outside a clone."""
    root = checkout()
    lines = (root / "constraints.txt").read_text().splitlines() if root else []
    pinned = dict(line.split("==") for line in lines if "==" in line and line[0] != "#")
    return {name.lower().replace("_", "-"): version for name, version in pinned.items()}


def install_command(name: str = "") -> str:
    """The shell command that installs what is missing, in the versions of the book.

    Outside a clone there are no such versions: the package `name` as the library needs it.
    """
    root = checkout()
    if root is None:
        return f"{PIP_INSTALL} {shlex.quote(required(name))}"
    return f'cd {shlex.quote(str(root))} && {PIP_INSTALL} -c constraints.txt -e ".[test]"'


def required(name: str) -> str:
    """What pip takes for a package that the library lists; for another, all that the lab needs."""
    listed = [line.partition(";")[0] for line in metadata.requires("zoology-teach") or []]
    found = [line for line in listed if re.split(r"[^\w.-]", line)[0] == name]
    return found[0].strip() if found else "zoology-teach[lab]"


def megabytes(*names: str) -> int:
    """What the files of these packages take on the disk, by their own lists (1 MB: 10^6 bytes)."""
    files = (file for name in names for file in metadata.files(name) or [])
    return round(sum(file.size or 0 for file in files) / 1e6)


def torch_build() -> str:
    """Which build of PyTorch is here, and what it costs with the libraries that only it needs."""
    import torch

    libraries = cuda_libraries()
    if torch.version.cuda is None and torch.version.hip is None:
        return f"CPU build, {megabytes('torch', *libraries):,} MB"
    kind = f"CUDA {torch.version.cuda}" if torch.version.cuda else f"ROCm {torch.version.hip}"
    size = f"GPU build ({kind}), {megabytes('torch', *libraries):,} MB with its libraries"
    return size if torch.cuda.is_available() else f"{size}; the CPU build would do: TORCH=cpu"


def cuda_libraries() -> list[str]:
    """The distributions installed here that only a GPU build of torch requires."""
    names = {(found.metadata["Name"] or "").lower() for found in metadata.distributions()}
    return sorted(name for name in names if OF_CUDA.match(name))
