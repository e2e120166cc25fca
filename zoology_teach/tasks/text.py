"""Real text as a task: documents -> BPE tokens -> blocks, held out by whole documents (chapter 01).

The tokens of all documents stand in one stream, an END before each. A block is a run of N + 1
of them, and begins with the last token of the block before it: so every token is predicted
once, from at most N tokens of its own block.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from zoology_teach.checks import require, require_int
from zoology_teach.tasks.documents import DATA, Damaged, Document, Reading, read
from zoology_teach.tasks.examples import Examples, generator_from

TOKENIZER = DATA / "tokenizer.json"
END = "<|endoftext|>"
# One of each group of plays. The committed tokenizer has not seen them.
HELD_OUT_PLAYS = frozenset(
    {"Twelfth Night", "King John", "The Merchant of Venice", "The Tempest", "Coriolanus", "Macbeth"}
)
ENCODED_AT_ONCE = 2**20  # characters


def train_tokenizer(texts: Iterable[str], vocab_size: int = 2048) -> Tokenizer:
    """Byte-level BPE with V = `vocab_size` tokens; token 0 is END, the next 256 are the bytes."""
    require_int("vocab_size", vocab_size, 257)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[END], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def load_tokenizer(path: str | Path = TOKENIZER) -> Tokenizer:
    """The committed tokenizer (V = 2048), or another in the JSON of the library `tokenizers`.

    Raises ValueError where the file is none, or does not know END.
    """
    require(Path(path).is_file(), "path", str(path), "a file")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more precise
        raise ValueError(f"path = {str(path)!r}: not a tokenizer ({error})") from None
    require(tokenizer.token_to_id(END) is not None, "path", str(path), f"one that knows {END}")
    return tokenizer


@dataclass(frozen=True)
class Blocks:
    """A stream of M tokens, cut into B blocks for a context of N = `seq_len` tokens.

    stream      (M,) the tokens, END before each document.
    document    (M,) the number of the document that a token belongs to, an index of `names`.
    vocab_size  V.
    """

    stream: NDArray
    document: NDArray[np.int32]
    names: list[str]
    seq_len: int
    vocab_size: int

    def __len__(self) -> int:
        return max(0, len(self.stream) - 1) // self.seq_len

    @property
    def tokens(self) -> NDArray:
        """(B, N+1): the blocks."""
        return self._blocks(self.stream)

    @property
    def documents(self) -> NDArray[np.int32]:
        """(B, N): the document of each predicted token, `tokens[:, 1:]`."""
        return self._blocks(self.document)[:, 1:]

    def examples(self, rows: torch.Tensor | slice = slice(None)) -> Examples:
        """Some of the blocks, or all: inputs and labels (B, N), a label is the next token."""
        where = rows if isinstance(rows, slice) else np.asarray(rows)  # tensor([3]) would mean 3
        chosen = torch.from_numpy(self.tokens[where].astype(np.int64))
        return Examples(chosen[:, :-1], chosen[:, 1:])

    def sample(self, num_examples: int, seed: int | torch.Generator = 0) -> Examples:
        """`num_examples` different blocks in random order; the same seed draws the same."""
        require_int("num_examples", num_examples, 1)
        require(num_examples <= len(self), "num_examples", num_examples, f"at most {len(self)}")
        order = torch.randperm(len(self), generator=generator_from(seed), device="cpu")
        return self.examples(order[:num_examples])

    def apart(self, num_documents: int) -> tuple["Blocks", "Blocks"]:
        """All but the last `num_documents` documents, and those, each as blocks of their own."""
        require_int("num_documents", num_documents, 1)
        count = len(self.names)
        require(num_documents < count, "num_documents", num_documents, f"below {count}")
        first = count - num_documents
        cut = int(np.searchsorted(self.document, first))
        rest, last = self.document[:cut], self.document[cut:] - np.int32(first)
        return (
            replace(self, stream=self.stream[:cut], document=rest, names=self.names[:first]),
            replace(self, stream=self.stream[cut:], document=last, names=self.names[first:]),
        )

    def _blocks(self, of: NDArray) -> NDArray:
        if not len(self):
            return np.zeros((0, self.seq_len + 1), of.dtype)
        return np.lib.stride_tricks.sliding_window_view(of, self.seq_len + 1)[:: self.seq_len]


@dataclass(frozen=True)
class Corpus:
    """Training and held-out blocks, the tokenizer, and the account of what was read."""

    train: Blocks
    held_out: Blocks
    tokenizer: Tokenizer
    reading: Reading


def load(
    source: str | Path = "shakespeare",
    seq_len: int = 256,
    *,
    held_out: float | Collection[str] | None = None,
    tokenizer: Tokenizer | None = None,
    max_tokens: int | None = None,
    seed: int = 0,
    damaged: Damaged = "refuse",
    text_field: str = "text",
    split: str = "train",
) -> Corpus:
    """Blocks from the committed plays, a folder or a streamed dataset (see `documents.read`).

    seq_len     N, the context; a block has N + 1 tokens.
    held_out    names of documents, or the share of documents drawn by `seed` and name.
                None: one play of each group (`HELD_OUT_PLAYS`), and 0.05 of anything else.
    tokenizer   None for the committed one (V = 2048), which was trained on the training plays.
    max_tokens  stop before the document that would exceed it; needed where a stream is endless.

    Raises ValueError where nothing is left on one side, and what `documents.read` raises.
    """
    require_int("seq_len", seq_len, 1)
    require_int("max_tokens", 1 if max_tokens is None else max_tokens, 1)
    if held_out is None:
        held_out = HELD_OUT_PLAYS if source == "shakespeare" else 0.05
    if isinstance(held_out, int | float):
        require(0 < held_out < 1, "held_out", held_out, "between 0 and 1, or names")
    require(not isinstance(held_out, str), "held_out", held_out, "a share, or several names")
    tokenizer = load_tokenizer() if tokenizer is None else tokenizer
    reading = Reading()
    documents = read(source, damaged=damaged, text_field=text_field, split=split, reading=reading)
    sides: tuple[list, list] = ([], [])
    num_tokens = 0
    for name, ids in encode(documents, tokenizer):
        num_tokens += len(ids)
        if max_tokens is not None and num_tokens > max_tokens:
            break
        sides[_is_held_out(name, held_out, seed)].append((name, ids))
    reading.unused = reading.documents - sum(len(side) for side in sides)
    missing = set() if isinstance(held_out, float) else set(held_out) - {n for n, _ in sides[1]}
    require(
        not missing, "held_out", sorted(missing), f"names of documents that were read: {source}"
    )
    for side, which in zip(sides, ("training", "held-out"), strict=True):
        used = reading.documents - reading.unused
        require(bool(side), "held_out", held_out, f"such that {used} documents leave {which} ones")
    vocab_size = tokenizer.get_vocab_size()
    train, rest = (_blocks_of(side, seq_len, vocab_size) for side in sides)
    for blocks, which in ((train, "training"), (rest, "held-out")):
        long_enough = f"below {len(blocks.stream)}, the number of {which} tokens"
        require(len(blocks) > 0, "seq_len", seq_len, long_enough)
    return Corpus(train, rest, tokenizer, reading)


def encode(documents: Iterable[Document], tokenizer: Tokenizer) -> Iterator[tuple[str, NDArray]]:
    """Name and tokens of each document, END first; END written out in a text is plain text."""
    end = tokenizer.token_to_id(END)
    require(end is not None, "tokenizer", tokenizer, f"one that knows {END}")
    tokenizer.encode_special_tokens = True
    dtype = np.uint16 if tokenizer.get_vocab_size() <= 2**16 else np.uint32
    for group in _groups(documents):
        encoded = tokenizer.encode_batch_fast([d.text for d in group], add_special_tokens=False)
        for document, encoding in zip(group, encoded, strict=True):
            yield document.name, np.array([end, *encoding.ids], dtype)


def _groups(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Some documents at a time: enough for all cores, few enough for the memory."""
    group, size = [], 0
    for document in documents:
        group.append(document)
        size += len(document.text)
        if size >= ENCODED_AT_ONCE:
            yield group
            group, size = [], 0
    if group:
        yield group


def _is_held_out(name: str, held_out: float | Collection[str], seed: int) -> bool:
    if not isinstance(held_out, float):
        return name in held_out
    drawn = int.from_bytes(sha256(f"{seed}/{name}".encode()).digest()[:8], "big")
    return drawn < held_out * 2**64


def _blocks_of(side: list[tuple[str, NDArray]], seq_len: int, vocab_size: int) -> Blocks:
    names, parts = zip(*side, strict=True)
    document = np.repeat(np.arange(len(parts), dtype=np.int32), [len(p) for p in parts])
    return Blocks(np.concatenate(parts), document, list(names), seq_len, vocab_size)
