"""What works on this machine, and what to do about what does not: ``zoology-teach doctor``.

A probe takes the name under which it reports and returns a `Finding`. Probes try the thing
itself where that is cheap (import it, run a kernel, start the sandbox): being installed is not
yet working. The first section has to be sound for the library to work, in a clone of the
repository the second too, for the book to be read.
"""

import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module, metadata
from pathlib import Path
from typing import Literal

from zoology_teach import platforms
from zoology_teach.files import checkout
from zoology_teach.installation import PIP_INSTALL, install_command, pins, torch_build

OLDEST_PYTHON = (3, 11)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Finding:
    """What one probe found. `remedy` says what to do; it is empty where nothing is to be done."""

    name: str
    status: Literal["ok", "warning", "missing"]
    detail: str
    remedy: str = ""


def one_line(error: BaseException) -> str:
    """An error as a single line: its type and what it says."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def find_browser() -> str | None:
    """Path of a Chromium that tests can drive, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def failure_of(command: list[str], env: Mapping[str, str] | None = None) -> str:
    """Run `command`: "" if it exits with 0, otherwise one line that says why it did not."""
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    lines = done.stderr.strip().splitlines() or [f"{command[0]} exited with {done.returncode}"]
    return lines[-1] if done.returncode else ""


def python(name: str) -> Finding:
    """Whether Python is new enough."""
    version = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        return Finding(name, "missing", version, "install Python >= 3.11, then: make lab")
    return Finding(name, "ok", version)


def package(name: str) -> Finding:
    """Whether a package is there in the book's version, and can be imported."""
    try:
        version = metadata.version(name).split("+")[0]  # 2.13.0+cpu is 2.13.0
    except metadata.PackageNotFoundError:
        return Finding(name, "missing", "not installed", install_command(name))
    try:
        import_module(MODULES.get(name, name.replace("-", "_")))
    except ModuleNotFoundError:  # it, or something that it needs: `examine` knows the remedy
        raise
    except Exception as error:  # it is there but torn, and pip would take it for satisfied
        remedy = f"{PIP_INSTALL} --force-reinstall --no-deps {name}=={version}"
        return Finding(name, "missing", one_line(error), remedy)
    pinned = pins().get(name, version)
    if version != pinned:
        detail = f"{version}, but the book was made with {pinned}"
        return Finding(name, "warning", detail, install_command())
    return Finding(name, "ok", version)


def torch_package(name: str) -> Finding:
    """PyTorch, which build of it, and what that costs."""
    found = package(name)
    return (
        found
        if found.status == "missing"
        else replace(found, detail=f"{found.detail}, {torch_build()}")
    )


def kernel(name: str) -> Finding:
    """A kernel of another Python, left in the home folder, would not find the library."""
    from jupyter_client.kernelspec import KernelSpecManager

    command = KernelSpecManager().get_kernel_spec("python3").argv[0]
    if os.path.isabs(command) and command != sys.executable:  # a bare "python" means this one
        remedy = f"{shlex.quote(sys.executable)} -m ipykernel install --sys-prefix"
        return Finding(name, "warning", f"python3 runs {command}, not this Python", remedy)
    return Finding(name, "ok", "python3 runs this Python")


def machine(name: str) -> Finding:
    """The row of this machine in the table of `platforms`."""
    row = platforms.here()
    detail = f"{row.name}: {row.runs}"
    if row.lacks == "nothing":
        return Finding(name, "ok", detail)
    return Finding(name, "warning", f"{detail}; not {row.lacks}", row.advice)


def disk(name: str) -> Finding:
    """Room for what chapters and sweeps write."""
    free = shutil.disk_usage(checkout() or Path.cwd()).free / 1e9
    if free < 1:
        return Finding(name, "warning", f"{free:.1f} GB free", "free at least 1 GB")
    return Finding(name, "ok", f"{free:.0f} GB free")


def cpu(name: str) -> Finding:
    """The cores that this process may use, and the threads that torch wants to."""
    import torch

    usable = getattr(os, "sched_getaffinity", None)  # a container may grant fewer than exist
    cores = len(usable(0)) if usable else os.cpu_count() or 1
    threads = torch.get_num_threads()
    detail = f"cores: {cores}, threads of torch: {threads}"
    if threads > cores:
        return Finding(name, "warning", detail, f"export OMP_NUM_THREADS={cores}")
    return Finding(name, "ok", detail)


def gpu(name: str) -> Finding:
    """The GPU, which nothing needs."""
    import torch

    if torch.cuda.is_available():
        return Finding(name, "ok", torch.cuda.get_device_name())
    return Finding(name, "ok", "none; not needed, every chapter runs on the CPU")


def triton(name: str) -> Finding:
    """Whether a kernel runs, compiled where there is a GPU and interpreted elsewhere."""
    instead = "until then the same formulas run in plain PyTorch"
    if platform.system() != "Linux":
        return Finding(name, "missing", "published for Linux only", f"nothing to do: {instead}")
    installed = package(name)

    import torch

    compiles = torch.cuda.is_available()
    env = {**os.environ, "TRITON_INTERPRET": "0" if compiles else "1"}
    failure = failure_of([sys.executable, "-m", "zoology_teach.kernels.smallest"], env)
    if failure:
        needs = "a C compiler and a GPU driver that fits torch" if compiles else "the pinned torch"
        remedy = f"Triton needs {needs}; {instead}: {install_command()}"
        return Finding(name, "warning", f"{installed.detail}, no kernel runs: {failure}", remedy)
    how = "compiled for the GPU" if compiles else "interpreted (there is no GPU to compile for)"
    return replace(installed, detail=f"{installed.detail}, a kernel runs {how}")


def browser(name: str) -> Finding:
    """Whether there is a browser that tests can drive."""
    path = find_browser()
    if path is None:
        remedy = "only the browser test needs it: apt-get install chromium"
        return Finding(name, "missing", "no Chromium found", remedy)
    return Finding(name, "ok", path)


def sandbox(name: str) -> Finding:
    """Whether the sandbox of the grader starts."""
    path = shutil.which("bwrap")
    if path is None:
        remedy = "only graders need it, on Linux: apt-get install bubblewrap"
        return Finding(name, "missing", "no bubblewrap found", remedy)
    failure = failure_of([path, "--ro-bind", "/", "/", "--unshare-all", "true"])
    if failure:
        remedy = "only graders need it: allow user namespaces (sysctl user.max_user_namespaces)"
        return Finding(name, "warning", f"{path} does not start: {failure}", remedy)
    return Finding(name, "ok", f"{path} starts")


Probe = Callable[[str], Finding]
# What pyproject.toml lists; triton, which is optional, has a probe of its own.
LIBRARIES = (
    "torch numpy pandas matplotlib pillow einops filelock tqdm typer ipywidgets anywidget "
    "traitlets tokenizers zstandard jinja2 markupsafe psutil pyyaml"
).split()
NOTEBOOKS = "jupyterlab jupytext nbclient nbformat jupyter-client ipython".split()
MODULES = {"pillow": "PIL", "pyyaml": "yaml", "ipython": "IPython"}
LIBRARY = "Needed by the library"
READING = "Needed to read the book"
SECTIONS: dict[str, dict[str, Probe]] = {
    LIBRARY: {"Python": python, **dict.fromkeys(LIBRARIES, package), "torch": torch_package},
    READING: {**dict.fromkeys(NOTEBOOKS, package), "kernel": kernel},
    "What it computes with": {
        "machine": machine,
        "CPU": cpu,
        "GPU": gpu,
        "triton": triton,
        "disk": disk,
    },
    "Needed only to test and to grade": {"browser": browser, "sandbox": sandbox},
}


def examine(name: str, probe: Probe) -> Finding:
    """What `probe` finds. Whatever breaks in it is a finding too."""
    try:
        return probe(name)
    except Exception as error:
        return Finding(name, "missing", one_line(error), install_command(name))


def verdict(missing: list[str]) -> str:
    """The last line, for the sections in which something is missing."""
    if LIBRARY in missing:
        return "The library does not work here yet: see ->"
    if checkout() is None:
        return "The library works here. To read the book: make lab, in a clone of the repository."
    if READING in missing:
        return "The library works here, but the book cannot be read here yet: see ->"
    return "The book can be read here."


def main() -> int:
    """Print every finding. Return 1 if the library, or a book that is here, cannot be used."""
    missing = []
    for title, probes in SECTIONS.items():
        print(title)
        for name, probe in probes.items():
            found = examine(name, probe)
            print(f"  {found.status:<8} {found.name:<14} {found.detail}", flush=True)
            if found.remedy:
                print(f"{'':>11}-> {found.remedy}")
            if found.status == "missing":
                missing.append(title)
        print()
    print(verdict(missing))
    needed = [LIBRARY] if checkout() is None else [LIBRARY, READING]
    return int(any(title in missing for title in needed))
