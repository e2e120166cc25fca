"""A text by name -> blocks of tokens; what comes from the network is kept (chapter 10)."""

import json
from dataclasses import asdict, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from zoology_teach.checks import number, require, require_int
from zoology_teach.configuration import config, fingerprint
from zoology_teach.files import replacing, sole_writer
from zoology_teach.tasks import text
from zoology_teach.tasks.documents import Reading
from zoology_teach.tasks.folder import digest
from zoology_teach.tasks.text import Blocks, Corpus

TOKENIZER_DOCUMENTS = 20_000
SMALLEST = 257  # tokens: END and the bytes


@config
class Text:
    """Which text, as what tokens.

    source      as in `tasks.text.load`.
    seq_len     N, the context.
    tokenizer   "committed" (V = 2048, of the plays), "gpt2" (V = 50257, needs a network), or
                "bpe-V": byte-level BPE of V tokens, trained on the first 20,000 documents.
    max_tokens  None, or how many tokens are read.
    held_out    the share of the documents that is held out; None as in `tasks.text.load`.
    content     of a folder or file: its `folder.digest`, so other texts under the same path are
                another text; "" does not say which.
    """

    source: str = "shakespeare"
    seq_len: int = 256
    tokenizer: str = "committed"
    max_tokens: int | None = None
    held_out: float | None = None
    content: str = ""

    def __post_init__(self) -> None:
        named = isinstance(self.source, str) and bool(self.source)
        require(named, "source", self.source, "a folder, a file or another text")
        require_int("seq_len", self.seq_len, 1)
        if self.max_tokens is not None:
            require_int("max_tokens", self.max_tokens, 1)
        if self.held_out is not None:
            share = 0 < number(self.held_out) < 1
            require(share, "held_out", self.held_out, "a share between 0 and 1")
        if self.tokenizer not in ("committed", "gpt2"):
            _bpe_size(self.tokenizer)

    def as_found(self) -> "Text":
        """The same with the `content` that is there, unless it has one.

        The plays and the Hub's datasets need none.
        """
        if self.content or self.source == "shakespeare" or self.source.startswith("hf:"):
            return self
        return replace(self, content=digest(Path(self.source)))

    def load(self, folder: Path | None = None) -> Corpus:
        """The blocks. Raises what `tasks.text.load` raises, and ValueError for other `content`.

        folder  where the tokens of a dataset of the Hub are kept. It is read once, and mapped
                into memory from then on.
        """
        if folder is None or not self.source.startswith("hf:"):
            found = replace(self, content="").as_found()
            same = self.content in ("", found.content)
            require(same, "source", self.source, f"the text whose digest is {self.content}")
            return _read(found)
        place = folder / f"tokens_{fingerprint(self)}"
        if not place.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with sole_writer(place, wait=True):  # two processes, one download
                if not place.exists():
                    _write(_read.__wrapped__(self), place)  # not kept in memory twice
        return _mapped(place)


@lru_cache(maxsize=1)
def _read(of: Text) -> Corpus:
    damaged: text.Damaged = "refuse" if of.source == "shakespeare" else "skip"
    tokenizer = _tokenizer(of, damaged)
    return text.load(
        of.source,
        of.seq_len,
        held_out=of.held_out,
        tokenizer=tokenizer,
        max_tokens=of.max_tokens,
        damaged=damaged,
    )


def _tokenizer(of: Text, damaged: text.Damaged) -> Tokenizer | None:
    if of.tokenizer == "committed":
        return None
    if of.tokenizer == "gpt2":
        return Tokenizer.from_pretrained("gpt2")
    documents = islice(text.read(of.source, damaged=damaged), TOKENIZER_DOCUMENTS)
    return text.train_tokenizer((d.text for d in documents), _bpe_size(of.tokenizer))


def _bpe_size(tokenizer: str) -> int:
    """V of "bpe-V"."""
    kind, _, size = str(tokenizer).partition("-")
    is_bpe = kind == "bpe" and size.isascii() and size.isdigit() and int(size) >= SMALLEST
    known = f"'committed', 'gpt2' or 'bpe-V' with V >= {SMALLEST}"
    require(is_bpe, "tokenizer", tokenizer, known)
    return int(size)


def _write(corpus: Corpus, place: Path) -> None:
    """All or nothing: the folder has its name only when it is complete."""
    with replacing(place) as new:
        new.mkdir()
        sides = {"train": corpus.train, "held_out": corpus.held_out}
        for side, blocks in sides.items():
            np.save(new / f"{side}_stream.npy", blocks.stream)
            np.save(new / f"{side}_document.npy", blocks.document)
        note: dict[str, Any] = {
            side: [b.names, b.seq_len, b.vocab_size] for side, b in sides.items()
        }
        note["reading"] = asdict(corpus.reading)
        (new / "corpus.json").write_text(json.dumps(note), encoding="utf-8")
        corpus.tokenizer.save(str(new / "tokenizer.json"))


def _mapped(place: Path) -> Corpus:
    note = json.loads((place / "corpus.json").read_text(encoding="utf-8"))

    def blocks(side: str) -> Blocks:
        arrays = (
            np.load(place / f"{side}_{name}.npy", mmap_mode="r") for name in ("stream", "document")
        )
        return Blocks(*arrays, *note[side])

    tokenizer = text.load_tokenizer(place / "tokenizer.json")
    return Corpus(blocks("train"), blocks("held_out"), tokenizer, Reading(**note["reading"]))
