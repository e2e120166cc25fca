"""A folder or a zip as entries with a path and bounded bytes. Nothing is unpacked to disk.

Whoever made the files may be hostile: links are not followed, pipes and devices not opened,
sizes are counted while reading, and whatever cannot be read has a reason instead of bytes.
How many files there are costs nobody but the one who handed them in.
"""

import os
import stat
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path
from typing import IO

from zoology_teach.checks import require
from zoology_teach.grading import zip_names
from zoology_teach.grading.notebooks import SUFFIXES

MAX_BYTES = 10 * 1024**2  # of one notebook, its outputs included
MAX_FILES = 50_000  # below one name beside which there are others: those of one student
MAX_DEPTH = 20
SAVED_AS = (".ipynb.json", ".ipynb.txt")  # as browsers do
CHUNK = 64 * 1024
PACKAGES = {"node_modules", "site-packages", "__pycache__", "__MACOSX"}  # of a venv, a Mac


class Unreadable(Exception):
    """Why an entry has no bytes, as a sentence without its subject."""


@dataclass(frozen=True)
class Entry:
    """One thing in a folder or zip; `read` gives its bytes or raises Unreadable.

    path: the names that lead to it, any characters. time: when it was last changed, only to
    be compared with that of its neighbours. is_folder: a folder, mentioned for its name.
    problem: why it cannot be read, where that is known before.
    """

    path: tuple[str, ...]
    time: tuple[int, ...]
    contents: Callable[[], bytes] | None = None
    is_folder: bool = False
    problem: str = ""

    def read(self) -> bytes:
        """At most MAX_BYTES. Raises Unreadable."""
        if self.contents is None:
            raise Unreadable(self.problem or "a folder")
        return self.contents()


@contextmanager
def opened(source: Path) -> Iterator[list[Entry]]:
    """The entries of a folder or zip, sorted; hidden files and installed packages left out.

    Where more than MAX_FILES lie below one name, one entry says so in their place. Raises
    ValueError where `source` is neither a folder nor a zip.
    """
    if source.is_dir():
        yield sorted(_folder_entries(source), key=lambda entry: entry.path)
        return
    require(source.is_file(), "SUBMISSIONS", str(source), "a folder or a zip file that exists")
    try:
        archive = zipfile.ZipFile(source)
    except Exception as error:  # zipfile raises many kinds for a file that is cut or forged
        allowed = f"must be a folder or a zip file ({error})"
        raise ValueError(f"SUBMISSIONS = {str(source)!r}: {allowed}") from None
    with archive:  # a stable sort: of a name twice, as stored
        yield sorted(_zip_entries(archive), key=lambda entry: entry.path)


def is_notebook(name: str) -> bool:
    """Whether a file is called as a notebook is, by Jupyter or by a browser that saved it."""
    return name.lower().endswith((*SUFFIXES, *SAVED_AS))


def _left_out(name: str) -> bool:
    return (name.startswith(".") and name != "..") or name in PACKAGES


def _too_many(path: tuple[str, ...]) -> Entry:
    return Entry(path, (0,), problem=f"too many files: more than {MAX_FILES:,}")


def _bounded(stream: IO[bytes]) -> bytes:
    chunks, size = [], 0
    while chunk := stream.read(CHUNK):
        size += len(chunk)
        if size > MAX_BYTES:
            raise Unreadable(f"too large: more than {MAX_BYTES // 1024**2} MiB")
        chunks.append(chunk)
    return b"".join(chunks)


def _folder_entries(root: Path) -> list[Entry]:
    """Level by level, down to where the ways part; from there each branch is counted alone."""
    level = _listed(root, ())
    around: list[Entry] = []
    while len(level) == 1 and level[0].is_folder and len(level[0].path) < MAX_DEPTH:
        around += level
        level = _listed(root, level[0].path)
    return around + [entry for branch in level for entry in _branch(root, branch)]


def _branch(root: Path, top: Entry) -> list[Entry]:
    found, waiting = [top], [top]
    while waiting:
        folder = waiting.pop()
        if folder.is_folder and len(folder.path) < MAX_DEPTH:
            inside = _listed(root, folder.path, MAX_FILES + 1)
            found += inside
            waiting += inside
            if len(found) > MAX_FILES:
                return [_too_many(top.path)]
    return found


def _listed(root: Path, inside: tuple[str, ...], most: int | None = None) -> list[Entry]:
    """What lies directly in a folder, `most` at most."""
    try:
        with os.scandir(os.path.join(root, *inside)) as listing:
            items = list(islice(listing, most))
    except OSError as error:
        require(bool(inside), "SUBMISSIONS", str(root), f"readable ({error.strerror})")
        return [Entry(inside, (0,), problem=f"cannot be read: {error.strerror}")]
    return [_folder_entry((*inside, item.name), item) for item in items if not _left_out(item.name)]


def _folder_entry(path: tuple[str, ...], item: os.DirEntry) -> Entry:
    try:
        status = item.stat(follow_symlinks=False)
    except OSError as error:
        return Entry(path, (0,), problem=f"cannot be read: {error.strerror}")
    time, kind = (int(status.st_mtime),), stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFDIR:
        return _folder(path, time)
    if kind == stat.S_IFREG:
        return Entry(path, time, lambda: _read_file(item.path))
    link = kind == stat.S_IFLNK
    return Entry(path, time, problem="a link, which is not followed" if link else "not a file")


def _folder(path: tuple[str, ...], time: tuple[int, ...]) -> Entry:
    if is_notebook(path[-1]):
        return Entry(path, time, problem="a folder with the name of a notebook")
    return Entry(path, time, is_folder=True)


def _read_file(path: str) -> bytes:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        with open(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Unreadable("not a file")
            return _bounded(file)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from None


def _zip_entries(archive: zipfile.ZipFile) -> list[Entry]:
    infos = archive.infolist()
    paths = zip_names.paths(infos)
    named = [(path, info) for path, info in zip(paths, infos, strict=True) if path]
    kept = [(path, info) for path, info in named if not any(map(_left_out, path))]
    around = {tuple(takewhile(lambda name: not _left_out(name), path)) for path, _ in named}
    around -= {path[:n] for path, _ in kept for n in range(len(path) + 1)} | {()}
    depth = 0
    while len({path[: depth + 1] for path, _ in kept if len(path) > depth}) == 1:
        depth += 1
    sizes = Counter(path[: depth + 1] for path, _ in kept)
    entries = [_too_many(branch) for branch, size in sizes.items() if size > MAX_FILES]
    entries += [_folder(path, (0,)) for path in around]  # all that is in them is left out
    return entries + [
        _zip_entry(archive, path, info)
        for path, info in kept
        if sizes[path[: depth + 1]] <= MAX_FILES
    ]


def _zip_entry(archive: zipfile.ZipFile, path: tuple[str, ...], info: zipfile.ZipInfo) -> Entry:
    if info.is_dir():
        return _folder(path, info.date_time)
    refused = {
        "a link, which is not followed": stat.S_ISLNK(info.external_attr >> 16),
        "encrypted in the zip": info.flag_bits & 0x1,
        # zipfile unpacks other methods at once
        "compressed in a way that cannot be bounded": info.compress_type
        not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED),
    }
    for problem, holds in refused.items():
        if holds:
            return Entry(path, info.date_time, problem=problem)

    def contents() -> bytes:
        try:
            with archive.open(info) as stream:
                return _bounded(stream)
        except Unreadable:
            raise
        except Exception:  # headers can be forged in more ways than zipfile has errors
            raise Unreadable("damaged in the zip") from None

    return Entry(path, info.date_time, contents)
