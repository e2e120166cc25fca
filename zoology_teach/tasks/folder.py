"""The text files below a folder, in a fixed order; what cannot be read is named, not left out."""

import stat
from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

ENDINGS = (".txt", ".md", ".jsonl", ".txt.zst", ".md.zst", ".jsonl.zst")


class NoFile(OSError):
    """A pipe, a socket or a device: reading it might never end."""


def printable(name: str) -> str:
    """A name that UTF-8 can write: what else it holds, as in a Latin-1 file name, is escaped."""
    return name.encode("utf-8", "backslashreplace").decode()


def text_files(root: Path) -> tuple[dict[str, Path | OSError], int]:
    """Name -> path of the text files below `root`, or of `root` itself, in order of the names.

    Linked folders are searched too, each once. In the place of a path stands the error where a
    file or a folder cannot be read. The second value is the number of files of another kind.
    """
    found: dict[str, Path | OSError] = {}
    others = 0
    for path, error in _walk(root):
        name = root.name if path == root else path.relative_to(root).as_posix()
        if name.endswith(ENDINGS) or not (error is None or isinstance(error, NoFile)):
            found[printable(name)] = error or path
        else:
            others += 1
    return dict(sorted(found.items())), others


def _walk(root: Path) -> Iterator[tuple[Path, OSError | None]]:
    """Every file, and each error in the place of a folder.

    Each folder once, by its own name where it has one here: by links there may be 2^n ways.
    """
    seen: set[Path] = set()
    links: list[tuple[Path, tuple[Path, ...]]] = []
    yield from _below(root, (), seen, links, follow=True)
    for link, above in links:  # it grows meanwhile
        yield from _below(link, above, seen, links, follow=True)


def _below(
    path: Path,
    above: tuple[Path, ...],
    seen: set[Path],
    links: list[tuple[Path, tuple[Path, ...]]],
    *,
    follow: bool,
) -> Iterator[tuple[Path, OSError | None]]:
    """`_walk` without the linked folders, which are noted; `above`: the folders around `path`."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISDIR(mode):
            regular = stat.S_ISREG(mode)
            yield path, None if regular else NoFile("neither a file nor a folder")
            return
        if path.is_symlink() and not follow:
            links.append((path, above))
            return
        here = path.resolve()
        if here in above:
            raise OSError("a link to a folder around it")
        if here in seen:
            return
        seen.add(here)
        inside = sorted(path.iterdir())
    except OSError as error:
        yield path, error
        return
    for one in inside:
        yield from _below(one, (*above, here), seen, links, follow=False)


def digest(root: Path) -> str:
    """Twelve hex digits of the names and contents of the text files below `root`."""
    return _digest(tuple((name, path, _stamp(path)) for name, path in text_files(root)[0].items()))


def _stamp(path: Path | OSError) -> tuple[int, ...]:
    """What is another one when a file was written again."""
    if isinstance(path, OSError):
        return ()
    now = path.stat()
    return now.st_ino, now.st_size, now.st_mtime_ns


@lru_cache(maxsize=8)
def _digest(files: tuple[tuple[str, Path | OSError, tuple[int, ...]], ...]) -> str:
    whole = sha256()
    for name, path, _ in files:
        whole.update(name.encode() + b"\0" + _content_digest(path))
    return whole.hexdigest()[:12]


def _content_digest(path: Path | OSError) -> bytes:
    content = sha256()
    try:
        if isinstance(path, OSError):
            raise path
        with open(path, "rb") as file:
            while piece := file.read(2**20):
                content.update(piece)
    except OSError as error:
        content.update(b"unreadable: " + printable(str(error)).encode())
    return content.digest()
