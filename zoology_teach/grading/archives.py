"""A folder or a zip as entries with a path and bounded bytes. Nothing is unpacked to disk.

Whoever made the files may be hostile: links are not followed, pipes and devices not opened,
sizes are counted while reading, and whatever cannot be read has a reason instead of bytes.
"""

import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from zoology_teach.checks import require
from zoology_teach.grading.notebooks import SUFFIXES

MAX_BYTES = 10 * 1024**2  # of one notebook, its outputs included
MAX_ENTRIES = 50_000
MAX_DEPTH = 20
CHUNK = 64 * 1024


class Unreadable(Exception):
    """Why an entry has no bytes, as a sentence without its subject."""


@dataclass(frozen=True)
class Entry:
    """One thing in a folder or zip; `read` gives its bytes or raises Unreadable.

    path: the names that lead to it, any characters. time: when it was last changed, only to
    be compared with that of its neighbours. is_folder: a folder, mentioned for its name.
    """

    path: tuple[str, ...]
    time: tuple[int, ...]
    read: Callable[[], bytes]
    is_folder: bool = False


@contextmanager
def opened(source: Path) -> Iterator[list[Entry]]:
    """The entries of a folder or zip, hidden files left out, in the same order each time.

    Raises ValueError where `source` is neither, or holds too many files for a class.
    """
    if source.is_dir():
        yield _folder_entries(source)
        return
    require(source.is_file(), "SUBMISSIONS", str(source), "a folder or a zip file that exists")
    try:
        archive = zipfile.ZipFile(source)
    except Exception as error:  # zipfile raises many kinds for a file that is cut or forged
        allowed = f"must be a folder or a zip file ({error})"
        raise ValueError(f"SUBMISSIONS = {str(source)!r}: {allowed}") from None
    with archive:
        yield _zip_entries(source, archive)


def _hidden(name: str) -> bool:
    return (name.startswith(".") and name != "..") or name == "__MACOSX"


def _named_as_notebook(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _bounded(stream: BinaryIO) -> bytes:
    chunks, size = [], 0
    while chunk := stream.read(CHUNK):
        size += len(chunk)
        if size > MAX_BYTES:
            raise Unreadable(f"too large: more than {MAX_BYTES // 1024**2} MiB")
        chunks.append(chunk)
    return b"".join(chunks)


def _refusal(reason: str) -> Callable[[], bytes]:
    def read() -> bytes:
        raise Unreadable(reason)

    return read


def _folder_entries(root: Path) -> list[Entry]:
    found: list[Entry] = []
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        inside = waiting.pop()
        try:
            with os.scandir(os.path.join(root, *inside)) as listing:
                listed = sorted(listing, key=lambda item: item.name, reverse=True)
        except OSError as error:
            require(bool(inside), "SUBMISSIONS", str(root), f"readable ({error.strerror})")
            found.append(Entry(inside, (0,), _refusal(f"cannot be read: {error.strerror}")))
            continue
        for item in listed:
            if _hidden(item.name):
                continue
            path = (*inside, item.name)
            entry = _folder_entry(path, item)
            found.append(entry)
            if entry.is_folder and len(path) < MAX_DEPTH:
                waiting.append(path)
        require(len(found) <= MAX_ENTRIES, "SUBMISSIONS", str(root), f"<= {MAX_ENTRIES:,} files")
    return sorted(found, key=lambda entry: entry.path)


def _folder_entry(path: tuple[str, ...], item: os.DirEntry) -> Entry:
    try:
        status = item.stat(follow_symlinks=False)
    except OSError as error:
        return Entry(path, (0,), _refusal(f"cannot be read: {error.strerror}"))
    time, kind = (int(status.st_mtime),), stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFDIR:
        named = _named_as_notebook(item.name)
        return Entry(path, time, _refusal("a folder with the name of a notebook"), not named)
    if kind == stat.S_IFREG:
        return Entry(path, time, lambda: _read_file(item.path))
    link = kind == stat.S_IFLNK
    return Entry(path, time, _refusal("a link, which is not followed" if link else "not a file"))


def _read_file(path: str) -> bytes:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        with open(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Unreadable("not a file")
            return _bounded(file)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from None


def _zip_entries(source: Path, archive: zipfile.ZipFile) -> list[Entry]:
    infos = archive.infolist()
    require(len(infos) <= MAX_ENTRIES, "SUBMISSIONS", str(source), f"<= {MAX_ENTRIES:,} files")
    entries = []
    for info in infos:
        names = _zip_name(info).replace("\\", "/").split("/")
        path = tuple(name for name in names if name not in ("", "."))
        if not path or any(map(_hidden, path)):
            continue
        is_folder = info.is_dir() and not _named_as_notebook(path[-1])
        entries.append(Entry(path, info.date_time, _zip_reader(archive, info), is_folder))
    return sorted(entries, key=lambda entry: entry.path)  # stable: of a name twice, as stored


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The name; without the mark for UTF-8, zipfile takes the old code page, most tools UTF-8."""
    if not info.flag_bits & 0x800:
        try:
            return info.filename.encode("cp437").decode()
        except UnicodeError:
            pass
    return info.filename


def _zip_reader(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], bytes]:
    if info.is_dir():
        return _refusal("a folder with the name of a notebook")
    if stat.S_ISLNK(info.external_attr >> 16):
        return _refusal("a link, which is not followed")
    if info.flag_bits & 0x1:
        return _refusal("encrypted in the zip")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return _refusal("compressed in a way that cannot be bounded")  # zipfile unpacks at once

    def read() -> bytes:
        try:
            with archive.open(info) as stream:
                return _bounded(stream)
        except Unreadable:
            raise
        except Exception:  # headers can be forged in more ways than zipfile has errors
            raise Unreadable("damaged in the zip") from None

    return read
