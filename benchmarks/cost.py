"""What a forward pass and a training step of every mixer take, beside what was counted.

    python benchmarks/cost.py                # minutes on one thread; continues where it stopped
    python benchmarks/cost.py --count-again  # the counts anew, the times as they were measured

For each width and length: all mixers, and the three operations that chapter 11 compares, in
turns, seven rounds of each, 2,048 tokens at a time. A finished width and length is added to
book/results/cost.csv in one piece; cost.json beside it says what made it.
"""

import argparse
import csv
import statistics
from dataclasses import asdict
from itertools import product
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, pad, scaled_dot_product_attention
from tqdm import tqdm

from zoology_teach import cost
from zoology_teach.experiments import results
from zoology_teach.files import replacing, sole_writer
from zoology_teach.mixers import MIXERS
from zoology_teach.mixers.convolution import fft_conv_flops, fft_flops, long_conv
from zoology_teach.mixers.mixer import Mixer

OUT = Path(__file__).parents[1] / "book" / "results" / "cost.csv"
MEASURED = [name for name in MIXERS if name != "sparse_attention"]  # of all rows: attention
TOKENS, ROUNDS = 2048, 7
WIDTHS, LENGTHS = (32, 64, 128, 256), (64, 128, 256, 512, 1024, 2048)


class Operation(Mixer):
    """The mixing of positions alone, without projections: u (B, N, D) -> (B, N, D)."""

    def __init__(self, d_model: int, n: int):
        super().__init__(d_model)
        self.filter = nn.Parameter(torch.randn(d_model, n))

    def state_size(self, n: int) -> int:
        """The whole past."""
        return n * self.d_model


class AllPairs(Operation):
    """Causal softmax attention with q = k = v = u."""

    def __init__(self, d_model: int, n: int):
        super().__init__(d_model, 0)

    def forward(self, u: Tensor, positions: Tensor | None = None) -> Tensor:
        q = u[:, None]
        return scaled_dot_product_attention(q, q, q, is_causal=True)[:, 0]

    def state_size(self, n: int) -> int:
        """Keys and values."""
        return 2 * n * self.d_model

    def flops(self, n: int) -> int:
        """Scores and weighted sum over the visible pairs."""
        return 2 * n * (n + 1) * self.d_model


class DirectSum(Operation):
    """h * u by its definition; the fastest form of it that we found on a CPU."""

    def forward(self, u: Tensor, positions: Tensor | None = None) -> Tensor:
        d, n = self.filter.shape
        u = pad(u.transpose(1, 2), (n - 1, 0))
        return conv1d(u, self.filter.flip(1)[:, None], groups=d).transpose(1, 2)

    def flops(self, n: int) -> int:
        """A multiply-add for every pair."""
        return n * (n + 1) * self.d_model


class ByFFT(Operation):
    """h * u by three FFTs."""

    def forward(self, u: Tensor, positions: Tensor | None = None) -> Tensor:
        return long_conv(u.transpose(1, 2), self.filter).transpose(1, 2)

    def flops(self, n: int) -> int:
        """As the mixers count it."""
        return fft_conv_flops(n) * self.d_model

    def shared_flops(self, n: int) -> int:
        """The filter's transform."""
        return fft_flops(n) * self.d_model


OPERATIONS = {"all pairs": AllPairs, "direct sum": DirectSum, "FFT": ByFFT}


def build(name: str, d_model: int, n: int) -> Mixer:
    """A mixer or an operation by name."""
    return OPERATIONS[name](d_model, n) if name in OPERATIONS else cost.build(name, d_model, n)


def counts(mixer: Mixer, batch: int, n: int) -> dict[str, int]:
    """The columns that no clock decides."""
    moved, calls = cost.traffic(mixer, batch, n)
    return asdict(cost.count(mixer, batch, n)) | {"bytes_as_run": moved, "calls": calls}


def rows(machine: cost.Machine, d_model: int, n: int) -> list[dict]:
    """Count and time everything at one width and length."""
    mixers = {name: build(name, d_model, n) for name in (*MEASURED, *OPERATIONS)}
    times = cost.measure(mixers, TOKENS // n, n, ROUNDS)
    table = []
    for name, mixer in mixers.items():
        row = {"kind": "operation" if name in OPERATIONS else "mixer", "mixer": name}
        row |= counts(mixer, TOKENS // n, n)
        for what, seconds in (("forward", times[name].forward), ("step", times[name].step)):
            row[f"{what}_ms"] = round(1e3 * statistics.median(seconds), 4)
            row[f"{what}_ms_min"] = round(1e3 * min(seconds), 4)
            row[f"{what}_ms_max"] = round(1e3 * max(seconds), 4)
        row["rounds"] = ROUNDS
        row["gflops_per_second"] = round(machine.flops_per_second / 1e9, 2)
        row["gbytes_per_second"] = round(machine.bytes_per_second / 1e9, 2)
        table.append(row)
    return table


def read() -> list[dict]:
    """The table so far."""
    return list(csv.DictReader(OUT.open(newline=""))) if OUT.exists() else []


def write(table: list[dict]) -> None:
    """The table whole."""
    with replacing(OUT) as new, open(new, "w", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)


def count_again() -> None:
    """Bring the counts of every row up to date."""
    with sole_writer(OUT):
        table = read()
        for row in tqdm(table):
            n = int(row["seq_len"])
            row |= counts(build(row["mixer"], int(row["d_model"]), n), int(row["batch"]), n)
        write(table)


def main() -> None:
    """Measure what is missing."""
    with sole_writer(OUT):
        results.note_provenance(OUT, "python benchmarks/cost.py", results.environment())
        table = read()
        done = {(int(row["d_model"]), int(row["seq_len"])) for row in table}
        for d_model, n in tqdm([cell for cell in product(WIDTHS, LENGTHS) if cell not in done]):
            table += rows(cost.Machine.measure(), d_model, n)
            write(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count-again", action="store_true", help="no clock: the counts alone")
    count_again() if parser.parse_args().count_again else main()
