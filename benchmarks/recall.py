"""How fast AR hits are found and bigrams counted, and what chapter 01's demonstration takes.

    OMP_NUM_THREADS=1 RAYON_NUM_THREADS=1 python benchmarks/recall.py      # about a minute

CPU seconds throughout. The streams that are counted are random with Zipf's frequencies, with the
vocabulary of the book or of the paper: without grammar they have more different bigrams than text
has, and so need more memory. The demonstration is the whole of it: from the committed file to the
table. What it prints is kept in benchmarks/recall.csv.
"""

import csv
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from zoology_teach import recall
from zoology_teach.tasks import ngram, text, trigram

OUT = Path(__file__).with_suffix(".csv")
VOCABULARIES = {"book": 2048, "paper": 50_257}
ROUNDS, TUNING_PLAYS, THRESHOLDS = 5, 3, (20, 100)


def zipf_tokens(seed: int, vocab_size: int, size: int) -> NDArray:
    """Token t with a probability in proportion to 1 / (t + 1)."""
    rng = np.random.default_rng(seed)
    return (np.exp(rng.random(size) * np.log(vocab_size + 1)) - 1).astype(np.uint16)


def rows_to_search() -> Iterator[tuple[str, NDArray, recall.NgramCounts]]:
    """The plays at two lengths; and, with the paper's vocabulary, rows as repetitive as they."""
    for seq_len in (256, 2048):
        blocks = text.load(seq_len=seq_len).train
        yield f"plays, N = {seq_len}", blocks.tokens, recall.bigram_counts(blocks.stream)
    tokens = np.random.default_rng(0).zipf(1.2, 8_000_000)
    tokens = tokens[tokens < VOCABULARIES["paper"]]
    rows = tokens[: len(tokens) // 2049 * 2049].reshape(-1, 2049).astype(np.uint16)
    yield "V = 50,257, N = 2048", rows, recall.bigram_counts(rows.ravel())


def pieces(vocab_size: int, number: int, size: int) -> Iterator[NDArray]:
    """A stream in `number` pieces of `size` tokens."""
    return (zipf_tokens(seed, vocab_size, size) for seed in range(number))


def cpu_seconds(call: Callable[[], object], rounds: int) -> float:
    """The median over some rounds."""
    times = []
    for _ in range(rounds):
        started = time.process_time()
        call()
        times.append(time.process_time() - started)
    return statistics.median(times)


def demonstration() -> pd.DataFrame:
    """Chapter 01: the gap between two models that count, sliced."""
    corpus = text.load()
    blocks, counts = corpus.held_out, recall.bigram_counts(corpus.train.stream)
    counted, tuning = corpus.train.apart(TUNING_PLAYS)
    plain, copying = (
        trigram.fit(counted.stream, tuning.tokens, blocks.vocab_size, copy=copy).loss(blocks.tokens)
        for copy in (False, True)
    )
    masks = {
        f"{name}, at most {threshold}": find(blocks.tokens, counts, threshold)[:, 1:]
        for name, find in (("AR hits", recall.ar_hits), ("opportunities", recall.opportunities))
        for threshold in THRESHOLDS
    }
    return recall.gap_slices(plain, copying, masks, blocks.documents)


def measurements() -> Iterator[tuple[str, float]]:
    """What was measured, and its number."""
    for name, rows, counts in rows_to_search():
        for find in (recall.ar_hits, recall.opportunities):
            seconds = cpu_seconds(partial(find, rows, counts, 100), ROUNDS)
            yield f"{find.__name__}, {name}: million tokens a second", rows.size / seconds / 1e6
        yield f"repeated bigrams, {name}: share", (ngram.distance_back(rows) > 0).mean()
    wall, started = time.perf_counter(), time.process_time()
    table = demonstration()
    yield "demonstration: wall seconds", time.perf_counter() - wall
    yield "demonstration: CPU seconds", time.process_time() - started
    for slice, row in table.iterrows():
        for column in row.index:
            yield f"demonstration, {slice}: {column}", row[column]
    for name, vocab_size in VOCABULARIES.items():
        stream = pieces(vocab_size, 100, 1_000_000)
        started = time.process_time()
        counts = recall.bigram_counts(stream)
        yield f"1e8 tokens counted, {name}: CPU seconds", time.process_time() - started
        yield f"1e8 tokens counted, {name}: distinct bigrams", len(counts.keys)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        yield f"1e8 tokens counted, {name}: peak MB of the process", peak


def main() -> None:
    """Print each measurement and keep them all."""
    rows = [("machine", f"{platform.machine()}, {os.cpu_count()} cores, numpy {np.__version__}")]
    for name, value in measurements():
        rows.append((name, f"{value:.4g}"))
        print(*rows[-1], sep=": ", flush=True)
    with OUT.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("what", "value"), *rows])


if __name__ == "__main__":
    main()
