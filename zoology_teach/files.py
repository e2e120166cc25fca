"""Writing that survives a crash: replace a file whole, append a whole line, be the only writer.

Everything in the library that writes uses these four, so nothing is ever left half-written.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from zoology_teach.checks import require

COMPANIONS = (".json", ".lock", ".new")  # of a table: its provenance, its lock, its next version


def checkout() -> Path | None:
    """The folder of the repository, or None where the library was installed without it."""
    root = Path(__file__).resolve().parent.parent
    return root if (root / "constraints.txt").exists() else None


def book() -> Path:
    """The folder book/ of the checkout, or else of the current folder.

    Raises ValueError where there is none.
    """
    here = Path.cwd()
    for folder in (checkout(), here):
        if folder is not None and (folder / "book").is_dir():
            return folder / "book"
    raise ValueError(f"{here}: there is no book here; run it in a clone of the repository")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A new name to write to, a file or a folder; at the end it takes the place of `path`.

    A file that was there is replaced in one step and keeps its permissions; of a link, what it
    points to is replaced. After an error inside, what was there before is there still; an
    OSError names `path`.
    """
    path = Path(path).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")  # hidden: nobody's own work is called so
    _remove(new)  # left by a crash
    try:
        yield new
        if new.is_file() and path.exists():
            shutil.copymode(path, new)
        for written in (new, *new.rglob("*")):
            if written.is_file():
                with open(written, "rb+") as file:
                    os.fsync(file.fileno())
        os.replace(new, path)
    except BaseException as error:
        _remove(new)
        if isinstance(error, OSError) and error.filename is None:
            named = (
                (error.errno, error.strerror, str(path)) if error.errno else (f"{path}: {error}",)
            )
            raise OSError(*named) from None
        raise


def replace(path: str | Path, content: bytes | str) -> None:
    """Write a file whole or not at all; text as UTF-8, its line ends as they are."""
    with replacing(path) as new:
        new.write_bytes(content.encode() if isinstance(content, str) else content)


def append(path: str | Path, lines: bytes) -> None:
    """Add whole lines in one write, flushed to the disk: there or not there, never half.

    Only for the `sole_writer` of a file that was mended. Raises OSError naming `path`.
    """
    with open(path, "ab", buffering=0) as file:
        size = file.tell()
        try:
            written = file.write(lines)
            if written < len(lines):
                raise OSError("no room for another line")
            os.fsync(file.fileno())
        except OSError as error:
            file.truncate(size)
            raise OSError(f"{path}: {error}; what was finished is kept") from None


def whole_lines(content: bytes) -> bytes:
    """Without a last line that a crash left without its end."""
    return content[: content.rfind(b"\n") + 1]


def mend(path: str | Path, whole: Callable[[bytes], bytes] = whole_lines) -> None:
    """Cut off what a crash left unfinished: all behind the `whole` part of the content."""
    path = Path(path)
    if path.exists():
        content = path.read_bytes()
        kept = len(whole(content))
        if kept < len(content):
            os.truncate(path, kept)


@contextmanager
def sole_writer(path: str | Path, *, wait: bool = False) -> Iterator[None]:
    """Be the only one that writes `path`. The lock of a process that dies is free again.

    With `wait` it is waited for as long as another process has it. Raises OSError naming `path`
    where another one is writing it, or the lock where something else has its name.
    """
    lock = FileLock(Path(path).with_suffix(".lock"))
    _require_lock(Path(lock.lock_file))
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout:
        raise OSError(f"{path}: another run is writing it; wait for that one") from None
    except (OSError, NotImplementedError) as error:
        raise OSError(f"{lock.lock_file}: cannot be locked ({error})") from None
    with lock:
        yield


def _require_lock(path: Path) -> None:
    """Locking empties the file: a lock of ours is empty, anything else is somebody's."""
    if path.exists() and (not path.is_file() or path.stat().st_size):
        raise OSError(f"{path}: is not a lock of this library; move it, or write elsewhere")


def require_table_path(out: str | Path) -> None:
    """Raise ``ValueError`` unless a table can stand at `out`, its companions beside it."""
    out = Path(out)
    allowed = f"a file, such as table.csv, whose name does not end in one of {COMPANIONS}"
    is_companion = out.suffix.lower() in COMPANIONS
    require(bool(out.name) and not is_companion and not out.is_dir(), "out", str(out), allowed)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
