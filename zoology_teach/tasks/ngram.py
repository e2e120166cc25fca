"""n-grams: runs of n tokens, counted in a corpus or found again earlier in the same row.

A bigram (n = 2) *ends* at the position of its second token. Tokens may be numpy arrays or CPU
tensors; the answers are numpy arrays.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zoology_teach.checks import require, require_int

CHUNK = 2**22  # tokens sorted at once


@dataclass(frozen=True)
class NgramCounts:
    """How often each n-gram occurs in a corpus; those that never occur are not kept.

    order        n.
    num_tokens   tokens of the corpus, M.
    keys         (U,) uint64, ascending: each n-gram in one number, 64 // n bits a token.
    counts       (U,) int64: how often it occurs.
    """

    order: int
    num_tokens: int
    keys: NDArray[np.uint64]
    counts: NDArray[np.int64]

    def of(self, *ngram: ArrayLike) -> NDArray[np.int64]:
        """The counts of n-grams given as n arrays of one shape: first tokens, second tokens, ..."""
        require(len(ngram) == self.order, "ngram", len(ngram), f"{self.order} arrays of tokens")
        wanted = _keys([as_tokens("ngram", column) for column in ngram])
        if not len(self.keys):
            return np.zeros(wanted.shape, np.int64)
        # In ascending order neighbours are found near each other, in the cache: up to 7 times
        # as fast.
        order = wanted.ravel().argsort()
        ascending = wanted.ravel()[order]
        place = np.searchsorted(self.keys, ascending)
        place[place == len(self.keys)] = 0
        found = np.empty(wanted.size, np.int64)
        found[order] = np.where(self.keys[place] == ascending, self.counts[place], 0)
        return found.reshape(wanted.shape)


def count_ngrams(tokens: ArrayLike | Iterable[ArrayLike], order: int) -> NgramCounts:
    """Count the n-grams (n = `order`) of a stream: one array (M,), or its pieces in turn.

    An n-gram may lie across two pieces. Memory grows with the number of distinct n-grams, not
    with M. Raises ValueError for anything but tokens in [0, 2^(64 // n)).
    """
    require_int("order", order, 1)
    num_tokens, carried = 0, np.zeros(0, np.uint64)
    sorted_runs: list[tuple[NDArray, NDArray]] = []
    pieces = [tokens] if hasattr(tokens, "__array__") else tokens
    for one in cast("Iterable[ArrayLike]", pieces):
        piece = as_tokens("tokens", one, ndim=1)
        num_tokens += len(piece)
        for start in range(0, len(piece), CHUNK):
            chunk = np.concatenate([carried, piece[start : start + CHUNK].astype(carried.dtype)])
            carried = chunk[max(0, len(chunk) - order + 1) :]
            sorted_runs.append(np.unique(_keys(windows(chunk, order)), return_counts=True))
            # As with the digits of a binary counter: each key is merged log(M) times.
            while len(sorted_runs) > 1 and len(sorted_runs[-2][0]) < 2 * len(sorted_runs[-1][0]):
                sorted_runs.append(_merged(sorted_runs.pop(), sorted_runs.pop()))
    while len(sorted_runs) > 1:
        sorted_runs.append(_merged(sorted_runs.pop(), sorted_runs.pop()))
    nothing = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    return NgramCounts(order, num_tokens, *(sorted_runs or [nothing])[0])


def windows(tokens: NDArray, order: int) -> list[NDArray]:
    """The n-grams of (..., N) as n arrays (..., N - n + 1): first tokens, second tokens, ..."""
    width = max(0, tokens.shape[-1] - order + 1)
    return [tokens[..., k : k + width] for k in range(order)]


def distance_back(tokens: ArrayLike, order: int = 2) -> NDArray[np.int64]:
    """How far back the n-gram that ends here ended last in the same row of (B, N); 0: never."""
    tokens = as_tokens("tokens", tokens, ndim=2)
    distance = np.zeros(tokens.shape, np.int64)
    for rows in _few_rows(tokens):
        gram, position = sort_rows(windows(tokens[rows], order))
        row, after = np.nonzero(gram[:, 1:] == gram[:, :-1])
        here, last = position[row, after + 1], position[row, after]
        distance[rows][row, here + order - 1] = here - last
    return distance


def times_before(tokens: ArrayLike, order: int = 2) -> NDArray[np.int64]:
    """How often the n-gram that ends here has ended earlier in the same row of (B, N)."""
    tokens = as_tokens("tokens", tokens, ndim=2)
    times = np.zeros(tokens.shape, np.int64)
    for rows in _few_rows(tokens):
        gram, position = sort_rows(windows(tokens[rows], order))
        rank = np.arange(gram.shape[1]) - group_starts(gram)
        np.put_along_axis(times[rows][:, order - 1 :], position, rank, axis=1)
    return times


def sort_rows(columns: list[NDArray]) -> tuple[NDArray, NDArray[np.int64]]:
    """Each row's n-grams in order, equal ones from left to right, and their positions.

    The position stands in the low bits of the number that is sorted: one plain sort does all.
    """
    width = columns[0].shape[1]
    token_bits = max(1, max((int(c.max()).bit_length() for c in columns if c.size), default=1))
    position_bits = max(1, width.bit_length())
    bits = len(columns) * token_bits + position_bits
    fits = "so small that n tokens and a position fit in 64 bits"
    require(bits <= 64, "order", len(columns), fits)
    dtype = np.uint32 if bits <= 32 else np.uint64
    packed = np.zeros(columns[0].shape, dtype)
    for column in columns:
        packed = packed << dtype(token_bits) | column.astype(dtype)
    packed = packed << dtype(position_bits) | np.arange(width).astype(dtype)
    packed.sort(axis=1)
    position = packed & dtype((1 << position_bits) - 1)
    return packed >> dtype(position_bits), position.astype(np.int64)


def group_starts(gram: NDArray) -> NDArray[np.int64]:
    """(B, W) sorted rows -> for each entry, where the run of its equals begins."""
    starts = np.tile(np.arange(gram.shape[1]), (len(gram), 1))
    starts[:, 1:][gram[:, 1:] == gram[:, :-1]] = 0
    return np.maximum.accumulate(starts, axis=1)


def as_tokens(argument: str, value: ArrayLike, ndim: int | None = None) -> NDArray:
    """The tokens as an array of integers >= 0 with `ndim` axes, else ValueError."""
    tokens = np.asarray(value)
    shape = {None: "of any shape", 1: "of shape (M,)", 2: "of shape (B, N)"}[ndim]
    is_integer = np.issubdtype(tokens.dtype, np.integer) or not tokens.size
    fits = is_integer and ndim in (None, tokens.ndim)
    require(fits, argument, f"{tokens.dtype} {tokens.shape}", f"integers {shape}")
    require(not tokens.size or tokens.min() >= 0, argument, "negative", "tokens >= 0")
    return tokens.astype(np.int64) if not tokens.size else tokens


def _keys(columns: list[NDArray]) -> NDArray[np.uint64]:
    bits = 64 // len(columns)
    key = np.zeros(columns[0].shape, np.uint64)
    for column in columns:
        largest = int(column.max(initial=0))
        require(largest < 2**bits, "tokens", largest, f"below 2^{bits} for this n")
        key = key << np.uint64(bits % 64) | column.astype(np.uint64)
    return key


def _merged(a: tuple[NDArray, NDArray], b: tuple[NDArray, NDArray]) -> tuple[NDArray, NDArray]:
    """Two ascending runs of (keys, counts) as one; the counts of the longer are changed."""
    (keys, counts), (more_keys, more_counts) = sorted((a, b), key=lambda run: -len(run[0]))
    if not len(more_keys):
        return keys, counts
    place = np.searchsorted(keys, more_keys)
    known = keys[np.minimum(place, len(keys) - 1)] == more_keys
    counts[place[known]] += more_counts[known]
    place, new = place[~known], ~known
    return np.insert(keys, place, more_keys[new]), np.insert(counts, place, more_counts[new])


def _few_rows(tokens: NDArray) -> list[slice]:
    """Slices of rows that fit a processor's cache."""
    step = max(1, 2**17 // max(1, tokens.shape[1]))
    return [slice(start, start + step) for start in range(0, len(tokens), step)]
