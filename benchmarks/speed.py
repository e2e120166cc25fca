"""What the library saves, as ratios against a plain implementation in the same process.

    python benchmarks/speed.py                   # about two minutes on one thread
    python benchmarks/speed.py --against PATH    # steps against another checkout: 15 minutes
    python benchmarks/speed.py --zoology PATH    # steps against the paper's released mixers

The plain generator draws each row with numpy's `choice`, as the paper's released code does
(and once more with the `choice` of numpy's newer generators, which is faster); the plain
training step computes logits at all positions. Both sides alternate, and medians are
compared, because a single timing on a shared machine says little. What it prints takes the
place of the same rows in benchmarks/speed.csv; `seconds_plain` are those of the other side, and
speed.json says what ran where.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from speed_paper import PAIRS, TheirMixer
from speed_steps import MODELS
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from zoology_teach import files
from zoology_teach.checks import require
from zoology_teach.experiments import results
from zoology_teach.mixers import MIXERS
from zoology_teach.model import LanguageModel, ModelConfig, layer
from zoology_teach.tasks.examples import IGNORED
from zoology_teach.tasks.mqar import MQAR, sample
from zoology_teach.training import batch_loss

OUT = Path(__file__).with_suffix(".csv")
ROOT = Path(__file__).parents[1]
COLUMNS = ("work", "seconds_plain", "seconds", "ratio")
VOCABULARIES = (256, 8192)
WARM_UP, ROUNDS, PROCESSES = 2, 5, 3


def plain_sample(rng, num_examples: int, seq_len: int, num_pairs: int, vocab_size: int) -> None:
    """The law of `mqar.sample`, one row at a time."""
    half, slots = vocab_size // 2, (seq_len - 2 * num_pairs) // 2
    p = np.arange(1, slots + 1) ** (0.01 - 1.0)
    p /= p.sum()
    inputs = np.zeros((num_examples, seq_len), dtype=np.int64)
    labels = np.full((num_examples, seq_len), IGNORED, dtype=np.int64)
    for row in range(num_examples):
        keys = rng.choice(np.arange(1, half), size=num_pairs, replace=False)
        values = rng.choice(np.arange(half, vocab_size), size=num_pairs, replace=False)
        queries = 2 * num_pairs + 2 * rng.choice(slots, size=num_pairs, replace=False, p=p)
        inputs[row, 0 : 2 * num_pairs : 2], inputs[row, 1 : 2 * num_pairs : 2] = keys, values
        inputs[row, queries], labels[row, queries] = keys, values


class PlainModel(nn.Module):
    """The same blocks, every position through every layer and through the head."""

    def __init__(self, config: ModelConfig, mixers: list[nn.Module] | None = None):
        """The config's own mixers unless `mixers` are given."""
        super().__init__()
        d = config.d_model
        self.embedding = nn.Embedding(config.vocab_size, d)
        self.mixers = nn.ModuleList(
            mixers or [MIXERS[x.mixer](d, **x.options) for x in config.layers]
        )
        self.norms = nn.ModuleList(nn.LayerNorm(d) for _ in range(len(config.layers) + 1))

    def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Cross entropy over all positions, those without a label ignored."""
        u = self.embedding(inputs)
        for norm, mixer in zip(self.norms, self.mixers, strict=False):
            u = u + mixer(norm(u))
        logits = self.norms[-1](u) @ self.embedding.weight.T
        return cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)


def ratio(plain: Callable[[], None], ours: Callable[[], None], rounds: int) -> tuple[float, ...]:
    """Median seconds of both and the median of the ratios of neighbours, in turn."""
    plain(), ours()
    pairs = [(seconds(plain), seconds(ours)) for _ in range(rounds)]
    medians = [statistics.median(column) for column in zip(*pairs, strict=True)]
    return (*medians, statistics.median(a / b for a, b in pairs))


def seconds(work: Callable[[], None]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def generator_ratio(rng, seq_len: int, num_pairs: int) -> tuple[float, ...]:
    """20,000 sequences each way."""
    shape = (20_000, seq_len, num_pairs, 8192)
    return ratio(lambda: plain_sample(rng, *shape), lambda: sample(*shape), rounds=5)


def step_ratio(
    layers: tuple, seq_len: int = 64, theirs: list[TheirMixer] | None = None
) -> tuple[float, ...]:
    """One update on 4,096 tokens at V = 8192, d = 64 each way; `theirs` in the plain layers."""
    config = ModelConfig(8192, 64, layers)
    batch = MQAR(seq_len, seq_len // 16, 8192).sample(4096 // seq_len)
    mixers = [make(64, seq_len, i) for i, make in enumerate(theirs)] if theirs else None
    plain, ours = PlainModel(config, mixers), LanguageModel(config)

    def update(loss: Callable[[], Tensor], optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    plain_optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-3)
    our_optimizer = torch.optim.AdamW(ours.parameters(), lr=1e-3, fused=True)
    return ratio(
        lambda: update(lambda: plain.loss(batch.inputs, batch.labels), plain_optimizer),
        lambda: update(lambda: batch_loss(ours, batch.inputs, batch.labels), our_optimizer),
        rounds=15,
    )


class Steps:
    """A process that times training steps of one model by the code in one checkout."""

    def __init__(self, checkout: str | Path, name: str, vocab_size: int):
        worker = Path(__file__).with_name("speed_steps.py")
        environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, str(worker), name, str(vocab_size)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "Steps":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.communicate()

    def seconds(self) -> float:
        """CPU seconds of one more step. Raises ValueError where the process has ended."""
        print(file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise ValueError(f"the step of {self.name} failed; see above")
        return float(answer)


def against(checkout: Path) -> Iterator[tuple]:
    """Rows of steps of every mixer, the other checkout's and ours in turn.

    Each model has processes of its own, as in a training, and more than one pair of them: what
    the heap of a process looks like alone moves a step by a fifth.
    """
    for vocab_size, name in product(VOCABULARIES, MODELS):
        both = []
        for _ in range(PROCESSES):
            with Steps(checkout, name, vocab_size) as theirs, Steps(ROOT, name, vocab_size) as ours:
                pairs = [(theirs.seconds(), ours.seconds()) for _ in range(WARM_UP + ROUNDS)]
            both += pairs[WARM_UP:]
        medians = [statistics.median(column) for column in zip(*both, strict=True)]
        times = statistics.median(a / b for a, b in both)
        yield f"step against a checkout, {name}, V={vocab_size}", *medians, times


def against_plain() -> Iterator[tuple]:
    """Rows of the generator and of steps."""
    legacy, newer = np.random.RandomState(0), np.random.default_rng(0)
    base_conv = (layer("base_conv"), layer("base_conv", filter="long", max_len=64))
    work = {
        "generator, N=64, K=4": lambda: generator_ratio(legacy, 64, 4),
        "generator, N=256, K=16": lambda: generator_ratio(legacy, 256, 16),
        "generator, N=64, K=4, newer choice": lambda: generator_ratio(newer, 64, 4),
        "generator, N=256, K=16, newer choice": lambda: generator_ratio(newer, 256, 16),
        "step, attention": lambda: step_ratio((layer("base_conv"), layer("attention"))),
        "step, two attention layers": lambda: step_ratio((layer("attention"),) * 2),
        "step, BaseConv": lambda: step_ratio(base_conv),
    }
    for name, measure in work.items():
        yield name, *measure()


def against_paper(checkout: Path) -> Iterator[tuple]:
    """Rows of steps with the mixers of the paper's released code in the plain model."""
    sys.path.insert(0, str(checkout))
    for seq_len in (64, 256):
        for name, pair in PAIRS.items():
            try:
                theirs = pair.theirs()
            except ImportError as error:
                print(f"--zoology: {name} is left out, its file cannot be imported: {error}")
                continue
            row = step_ratio(pair.ours(seq_len), seq_len, theirs)
            yield f"step against the paper's code, {name}, N={seq_len}", *row


def store(rows: list[tuple], command: str) -> None:
    """Put the rows in the place of those of the same names; the rest of the table stays."""
    table = pd.DataFrame(rows, columns=COLUMNS).round(4)
    if OUT.exists():
        both = pd.concat([pd.read_csv(OUT), table])
        table = both.drop_duplicates("work", keep="last")
    files.replace(OUT, table.to_csv(index=False, lineterminator="\n"))
    results.note_provenance(OUT, command, results.environment())


def main(arguments: list[str] | None = None) -> None:
    """Time everything on one thread, print a table and store it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--against", type=Path, metavar="PATH", help="another checkout")
    one.add_argument("--zoology", type=Path, metavar="PATH", help="one of the paper's code")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.against is not None:
        found = (options.against / "zoology_teach").is_dir()
        require(found, "--against", str(options.against), "a checkout of this library")
        measured, command = against(options.against), f" --against {commit_of(options.against)}"
    elif options.zoology is not None:
        found = (options.zoology / "zoology/mixers").is_dir()
        what = "a checkout of the paper's code, HazyResearch/zoology"
        require(found, "--zoology", str(options.zoology), what)
        measured = against_paper(options.zoology)
        command = f" --zoology {commit_of(options.zoology)}"
    else:
        measured, command = against_plain(), ""
    rows = []
    for row in measured:
        rows.append(row)
        name, plain, ours, times = row
        print(f"{name:55s} plain {plain:8.4f} s   ours {ours:8.4f} s   {times:6.2f} times faster")
    store(rows, f"python benchmarks/speed.py{command}")


def commit_of(checkout: Path) -> str:
    """What git says a checkout holds."""
    command = ["git", "-C", str(checkout), "rev-parse", "--short=12", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
