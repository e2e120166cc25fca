"""Documents from three kinds of source, and an account of what could not be read.

The committed plays, a folder of text, a streamed dataset of the Hub: each gives `Document`s in a
fixed order and in bounded memory. What is damaged is refused, or skipped and counted.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal

import zstandard

from zoology_teach.checks import require, require_int
from zoology_teach.tasks.folder import ENDINGS, printable, text_files

DATA = Path(__file__).parents[1] / "data"
PLAYS = DATA / "shakespeare.jsonl.zst"
LARGEST = 8 * 2**20  # bytes of one document; its encoding takes 150 times as much memory
MOST_REASONS = 1000  # kept word for word; beyond that they are counted

Damaged = Literal["refuse", "skip"]


@dataclass(frozen=True)
class Document:
    """A text and its name: the title that it came with, its file, or file and line."""

    name: str
    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", printable(self.name))


class DamagedText(ValueError):
    """A document cannot be read; the message names file, line and reason."""


@dataclass
class Reading:
    """The account of `read`, complete when its documents are used up.

    documents, characters  what was read.
    damaged, reasons       how much was skipped, and where and why (the first thousand).
    other_files            files of the folder that have none of the known endings.
    unused                 documents read but not used, because enough tokens were there.
    """

    documents: int = 0
    characters: int = 0
    damaged: int = 0
    reasons: list[str] = field(default_factory=list)
    other_files: int = 0
    unused: int = 0

    def __str__(self) -> str:
        counts = (
            f"{self.documents:,} documents, {self.characters:,} characters; "
            f"{self.damaged:,} damaged and skipped; {self.unused:,} not used; "
            f"{self.other_files:,} other files"
        )
        more = self.damaged - len(self.reasons)
        return "\n".join([counts, *self.reasons] + [f"... and {more:,} more"] * (more > 0))


def read(
    source: str | Path,
    *,
    damaged: Damaged = "refuse",
    text_field: str = "text",
    split: str = "train",
    largest: int = LARGEST,
    reading: Reading | None = None,
) -> Iterator[Document]:
    """The documents of a source, in a fixed order (chapter 01).

    source      "shakespeare": the committed plays. "hf:NAME" or "hf:NAME:CONFIG": the `split` of
                a dataset of the Hugging Face Hub, streamed (needs the library `datasets`).
                Otherwise the path of a folder (searched in depth) or a file: .txt and .md are a
                document a file, .jsonl is one a line, each also with .zst.
    damaged     "refuse" raises `DamagedText` at the first damaged document; "skip" goes on.
    text_field  where the text stands in a line of .jsonl or in a row of a dataset.
    largest     bytes of one document; a larger one counts as damaged.
    reading     filled in on the way, where given.

    Raises ValueError where there is no such source, ImportError without `datasets`.
    """
    require(damaged in ("refuse", "skip"), "damaged", damaged, "'refuse' or 'skip'")
    require_int("largest", largest, 1)
    if not str(source).startswith("hf:"):
        require(split == "train", "split", split, "'train': only the Hub has others")
    reading = Reading() if reading is None else reading
    if str(source).startswith("hf:"):
        found = _of_hub(str(source).removeprefix("hf:"), split, text_field, largest)
    elif source == "shakespeare":
        found = _of_file(PLAYS, PLAYS.name, text_field, largest)
    else:
        found = _of_path(source, text_field, largest, reading)
    return _account(found, damaged, reading)


_Found = Iterator[Document | DamagedText]


def _account(found: _Found, damaged: Damaged, reading: Reading) -> Iterator[Document]:
    for item in found:
        if isinstance(item, Document):
            reading.documents += 1
            reading.characters += len(item.text)
            yield item
            continue
        if damaged == "refuse":
            raise DamagedText(f"{item} (damaged='skip' goes on without it)") from item
        reading.damaged += 1
        if len(reading.reasons) < MOST_REASONS:
            reading.reasons.append(str(item))


def _of_path(source: str | Path, text_field: str, largest: int, reading: Reading) -> _Found:
    there = bool(str(source)) and Path(source).exists()
    require(there, "source", str(source), "'shakespeare', 'hf:NAME', a folder or a file")
    root = Path(source)
    files, reading.other_files = text_files(root)
    require(bool(files), "source", str(root), f"text: files that end in {', '.join(ENDINGS)}")
    return (f for name, path in files.items() for f in _of_file(path, name, text_field, largest))


def _of_file(path: Path | OSError, name: str, text_field: str, largest: int) -> _Found:
    by_line = name.endswith((".jsonl", ".jsonl.zst"))
    number, empty = 0, True
    try:
        if isinstance(path, OSError):
            raise path
        with open(path, "rb") as file:
            for number, raw in enumerate(_pieces(_chunks(file, path), by_line, largest), 1):
                if by_line and raw is not None and not raw.strip():
                    continue
                empty = False
                place = f"{name}, line {number}" if by_line else name
                try:
                    if raw is None:
                        raise DamagedText(f"{place}: larger than {largest:,} bytes")
                    text = _decoded(raw, name, number)
                    yield _of_line(text, place, text_field) if by_line else _whole(text, name)
                except DamagedText as damage:
                    yield damage
        if empty:
            yield DamagedText(f"{name}: empty")
    except (OSError, zstandard.ZstdError, EOFError) as error:
        place = f"{name}, line {number + 1}" if by_line else name
        yield DamagedText(f"{place}: cannot be read from here on ({printable(str(error))})")


def _chunks(file: IO[bytes], path: Path) -> Iterator[bytes]:
    """The content piece by piece. EOFError where a compressed file stops before its end."""
    if path.suffix != ".zst":
        yield from iter(partial(file.read, 2**20), b"")
        return
    frame = None
    # Small pieces: 4 kB of an endlessly repeated letter unpack to more than 100 MB.
    for packed in iter(partial(file.read, 2**12), b""):
        while packed:
            if frame is None:
                frame = zstandard.ZstdDecompressor().decompressobj()
            yield frame.decompress(packed)
            packed, frame = frame.unused_data, None if frame.eof else frame
    if frame is not None:
        raise EOFError("the compressed data stops before its end")


def _pieces(chunks: Iterator[bytes], by_line: bool, largest: int) -> Iterator[bytes | None]:
    """The lines, or the whole as one piece; None stands for one that is larger than `largest`."""
    held, size = list[bytes](), 0
    for chunk in chunks:
        *ends, rest = chunk.split(b"\n") if by_line else [chunk]
        for end in ends:
            size += len(end)
            yield None if size > largest else b"".join([*held, end])
            held, size = [], 0
        size += len(rest)
        if size <= largest:
            held.append(rest)
        else:
            held.clear()
    if size:
        yield None if size > largest else b"".join(held)


def _decoded(raw: bytes, name: str, number: int) -> str:
    """The text of a piece that begins at line `number`, without a byte order mark."""
    raw = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line = number + raw.count(b"\n", 0, error.start)
        bad = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        raise DamagedText(f"{name}, line {line}: {bad}") from None


def _whole(text: str, name: str) -> Document:
    if not text.strip():
        raise DamagedText(f"{name}: empty")
    return Document(name, text)


def _of_line(line: str, place: str, text_field: str) -> Document:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DamagedText(f"{place}: not JSON ({error})") from None
    return _of_row(row, place, text_field)


def _of_row(row: Any, place: str, text_field: str) -> Document:
    text = row.get(text_field) if isinstance(row, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise DamagedText(f"{place}: no text in {text_field!r}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DamagedText(f"{place}: half of a surrogate pair, which is no character") from None
    title = row.get("title")
    return Document(title if isinstance(title, str) and title else place, text)


def _of_hub(name: str, split: str, text_field: str, largest: int) -> _Found:
    try:
        from datasets import load_dataset
    except ImportError as error:
        needed = "the library datasets: pip install 'zoology-teach[pile]'"
        raise ImportError(f"source 'hf:{name}' needs {needed} ({error})") from error
    path, _, config = name.partition(":")
    rows = load_dataset(path, config or None, split=split, streaming=True)
    return _of_rows(rows, name, text_field, largest)


def _of_rows(rows: Iterable[Any], name: str, text_field: str, largest: int) -> _Found:
    for number, row in enumerate(rows, 1):
        place = f"{name}, row {number}"
        try:
            document = _of_row(row, place, text_field)
            if len(document.text.encode()) > largest:
                raise DamagedText(f"{place}: larger than {largest:,} bytes")
            yield document
        except DamagedText as damage:
            yield damage
