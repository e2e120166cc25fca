"""The bubblewrap command: what is in the sandbox, and what is not.

In it there are the system's and Python's files, read-only, and of this package all but
`grading`: no home, no course files, no solutions, no other submissions, no network. Whatever
in the library solves an exercise is there to be imported, as it is in the student's notebook:
a teacher sees that by reading.
"""

import json
import os
import shutil
import sys
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

PACKAGE = Path(__file__).resolve().parents[1]
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
SOURCES = ("/usr/src", "/usr/local/src")  # where people put what they build: nothing that runs
INSIDE = "/course/zoology_teach"  # the package in the sandbox
ENVIRONMENT_INSIDE = "/python"  # a virtual environment: it may lie in /tmp, which is the student's
NEEDED = ("bin", "lib", "lib32", "lib64", "pyvenv.cfg")  # of a Python installation
SENT = "grading/inside"  # all of grading that is in there
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "USER": "student",
    "LOGNAME": "student",
    "LANG": "C.UTF-8",
    "TMPDIR": "/tmp",
    "MPLBACKEND": "Agg",
    "TRITON_INTERPRET": "1",
    "TORCHDYNAMO_DISABLE": "1",  # `torch.compile` gives what it was given: no compiler is here
    "CUDA_VISIBLE_DEVICES": "",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",  # macOS: a fork after importing torch
    **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR")},
}


class SandboxUnavailable(RuntimeError):
    """There is no sandbox here; says why and what to do."""


def find_bwrap() -> str:
    """Path of bubblewrap. Raises SandboxUnavailable where there is none."""
    path = shutil.which("bwrap")
    if not sys.platform.startswith("linux") or path is None:
        raise SandboxUnavailable("no bubblewrap found; on Linux: apt-get install bubblewrap")
    return path


def bwrap_command(bwrap: str) -> list[str]:
    """The sandbox, up to the command that runs in it."""
    options = ["--unshare-pid --unshare-net --unshare-ipc --unshare-uts --unshare-cgroup-try"]
    if os.getuid() == 0:  # becomes an ordinary user inside: limits do not hold for root
        options += ["--cap-drop ALL --cap-add CAP_SETUID --cap-add CAP_SETGID"]
    else:
        options += ["--unshare-user --cap-drop ALL"]
    options += ["--die-with-parent --new-session --clearenv --hostname sandbox"]
    command = [bwrap, *" ".join(options).split()]
    for name, value in (ENVIRONMENT | {"PYTHONPATH": str(Path(INSIDE).parent)}).items():
        command += ["--setenv", name, value]
    for place in SYSTEM:
        if os.path.islink(place):
            command += ["--symlink", os.readlink(place), place]
        elif os.path.isdir(place):
            command += ["--ro-bind", place, place]
    secret = hidden()
    covered = [str(f) for f in (*SOURCES, *secret) if is_system(f) and os.path.isdir(f)]
    for folder in covered:
        command += ["--tmpfs", folder]
    places = python_files()
    above = {str(f) for place in (*places.values(), INSIDE) for f in Path(place).parents}
    for folder in sorted(above - {"/"}):  # an ordinary user must be able to pass, root's or not
        command += ["--perms", "0755", "--dir", folder]
    for source, place in places.items():
        command += ["--ro-bind-try", source, place]
    for folder in secret:
        if any(folder.is_relative_to(source) for source in places):
            command += ["--tmpfs", inside(folder), "--remount-ro", inside(folder)]
    command += ["--ro-bind", str(PACKAGE), INSIDE, "--tmpfs", f"{INSIDE}/grading"]
    command += ["--ro-bind", str(PACKAGE / SENT), f"{INSIDE}/{SENT}"]
    command += ["--remount-ro", f"{INSIDE}/grading", "--proc", "/proc", "--dev", "/dev"]
    command += ["--tmpfs", "/tmp", "--remount-ro", "/dev"]
    for folder in covered:
        command += ["--remount-ro", folder]
    return [*command, "--remount-ro", "/", "--chdir", "/tmp"]


def hidden() -> list[Path]:
    """Folders with ladders or solutions: every copy of this package, every checkout known of.

    A checkout is known where the package lies in it, was installed from it, or the command
    runs in it.
    """
    copies = [PACKAGE, *(Path(folder) / PACKAGE.name for folder in sys.path)]
    for place in ("/usr", "/usr/local"):
        copies += Path(place).glob(f"lib/python3*/*-packages/{PACKAGE.name}")
    known = [PACKAGE.parent, installed_from(), Path.cwd(), *Path.cwd().parents]
    checkouts = [folder for folder in known if folder is not None and is_checkout(folder)]
    return sorted({f.resolve() for f in (*copies, *checkouts) if f.is_dir()})


def is_checkout(folder: Path) -> bool:
    """Whether a folder is a clone of the course: the package, and solutions beside it."""
    return (folder / PACKAGE.name).is_dir() and (folder / "solutions").is_dir()


def installed_from() -> Path | None:
    """The folder that pip installed the package from, where it says so."""
    try:
        said = metadata.distribution(PACKAGE.name).read_text("direct_url.json")
        return Path(unquote(urlsplit(json.loads(said)["url"]).path))
    except (metadata.PackageNotFoundError, ValueError, LookupError, TypeError):
        return None


def is_system(path: str | Path) -> bool:
    """Whether the sandbox shows a path because it lies below one of the system's folders."""
    return any(Path(path).is_relative_to(place) for place in SYSTEM)


def python_files() -> dict[str, str]:
    """What the running Python needs of the file system, where that is not there yet: its place.

    Raises SandboxUnavailable for a Python that lies where the student may write.
    """
    roots = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    roots |= {str(Path(sys.executable).resolve().parents[1])}
    kept = [*SOURCES, *hidden()]
    hides = {root for root in roots if any(Path(root).is_relative_to(f) for f in kept)}
    outside = sorted(root for root in roots if root in hides or not is_system(root))
    for root in outside:
        if Path(inside(root)).is_relative_to("/tmp"):
            raise SandboxUnavailable(f"Python lies in {root}: install it outside of /tmp")
    needed = [f"{root}/{name}" for root in outside for name in NEEDED]
    return {f: inside(f) for f in (*needed, "/etc/ld.so.cache", "/etc/alternatives")}


def inside(path: str | Path) -> str:
    """Where a path of Python's is in the sandbox: a virtual environment is moved."""
    path = Path(path)
    if sys.prefix != sys.base_prefix and path.is_relative_to(sys.prefix):
        path = ENVIRONMENT_INSIDE / path.relative_to(sys.prefix)
    return str(path)
