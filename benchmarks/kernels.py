"""Every kernel against its peers on a GPU: speed, peak memory, and how near to the floor.

    python benchmarks/kernels.py            # minutes on a GPU; continues where it stopped
    python benchmarks/kernels.py --check    # answers only, at tiny shapes; TRITON_INTERPRET=1
                                            # where there is no GPU

Each implementation is compared with the definition in higher precision before it is timed; one
that is wrong, fails or runs out of memory gets a note in place of a time. A finished kernel and
shape is added to book/results/kernels_<gpu>.csv in one piece, with the .json beside it that says
what made it; only wrong and failed ones are run again. At the end the table is held against the
library's targets (kernel_targets.py). Times are of the GPU, with a cold L2 cache.
"""

import argparse
import csv
import os
import sys
from importlib import import_module
from itertools import product
from pathlib import Path

import torch
from kernel_cases import (
    BOOK_SHAPES,
    DIRECTIONS,
    KERNELS,
    SHAPES,
    TINY_SHAPES,
    Kernel,
    implementations,
)
from kernel_floors import Rates, Shape, data_sheet, measured
from kernel_peers import Peer, installed
from kernel_runs import attempt
from kernel_targets import report

from zoology_teach import files
from zoology_teach.experiments import results
from zoology_teach.kernels.dispatch import interpreting

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
RESULTS = Path(__file__).parents[1] / "book" / "results"
COLUMNS = (
    "kernel direction dtype B N D H d k implementation ms ms_p20 ms_p80 floor_ms "
    "percent_of_floor peak_mb expected_mb note floor_from gpu torch triton version"
).split()


def measure(
    kernel: Kernel, shape: Shape, rates: Rates, packages: dict[str, Peer], made_by: dict[str, str]
) -> list[dict]:
    """The rows of one kernel and shape."""
    torch.compiler.reset()  # else the ninth shape would run uncompiled
    torch.manual_seed(0)
    inputs = kernel.draw(shape, DEVICE)
    versions = {column: made_by[column] for column in ("gpu", "torch", "triton")}
    rows = []
    for name, peer in implementations(kernel, shape, packages).items():
        for direction in DIRECTIONS:
            floor = 1e3 * kernel.floor(shape, direction, rates)
            row = case(kernel, shape) | {"direction": direction, "implementation": name}
            row |= attempt(kernel, peer, inputs, direction)
            row |= {"floor_ms": floor, "expected_mb": kernel.memory(shape, direction) / 1e6}
            if "ms" in row:
                row["percent_of_floor"] = 100 * floor / row["ms"]
            row |= {"floor_from": rates.source, **versions, "version": made_by.get(name, "")}
            rows.append({k: f"{v:.5g}" if isinstance(v, float) else str(v) for k, v in row.items()})
            print(line(rows[-1]), flush=True)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
    return rows


def case(kernel: Kernel, shape: Shape) -> dict:
    """The columns that name a kernel and shape."""
    dtype = str(shape.dtype).removeprefix("torch.")
    (b, n, d), own = shape.u, kernel.sizes(shape)
    return {"kernel": kernel.name, "dtype": dtype, "B": b, "N": n, "D": d, **own}


def line(row: dict[str, str]) -> str:
    """A row as it is printed."""
    size = "({B}, {N}, {D})".format(**row)
    name = f"{row['kernel']:17s}{row['dtype']:9s}{size:16s}{row['direction']:17s}"
    name += f"{row['implementation']:24s}"
    if row.get("note"):
        return name + row["note"]
    return name + "{ms:>8s} ms {percent_of_floor:>6s} % of floor {peak_mb:>7s} MB".format(**row)


def stored(out: Path) -> list[dict[str, str]]:
    """The rows of a table whose cases need not run again."""
    rows = list(csv.DictReader(out.open(newline=""))) if out.exists() else []
    again = {key(row) for row in rows if row["note"].startswith(("wrong", "failed"))}
    return [row for row in rows if key(row) not in again]


def key(row: dict) -> tuple[str, ...]:
    """What is measured in one piece."""
    return tuple(str(row[column]) for column in ("kernel", "dtype", "B", "N", "D"))


def write(out: Path, rows: list[dict[str, str]]) -> None:
    """The table in place of the last one: a crash leaves one of them."""
    new = out.with_suffix(".csv.new")
    with open(new, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(new, out)


def fill(out: Path, rates: Rates, made_by: dict[str, str], packages: dict[str, Peer]) -> None:
    """Measure what is missing."""
    with files.sole_writer(out):
        results.note_provenance(out, "python benchmarks/kernels.py", made_by)
        table = stored(out)
        done = {key(row) for row in table}
        for shape, kernel in product(SHAPES + BOOK_SHAPES, KERNELS):
            if key(case(kernel, shape)) not in done:
                table += measure(kernel, shape, rates, packages, made_by)
                write(out, table)


def check() -> int:
    """Compare all answers at tiny shapes; 1 where one is wrong."""
    packages = installed()[0] if DEVICE == "cuda" else {}
    bad = 0
    for shape, kernel in product(TINY_SHAPES, KERNELS):
        torch.manual_seed(0)
        inputs = kernel.draw(shape, DEVICE)
        for name, peer in implementations(kernel, shape, packages).items():
            for direction in DIRECTIONS:
                row = case(kernel, shape) | {"direction": direction, "implementation": name}
                row |= attempt(kernel, peer, inputs, direction, timing=False)
                bad += row["note"] != "agrees"
                print(line(row), flush=True)
    return int(bad > 0)


def main() -> int:
    """0, or 1 where an answer is wrong, or 2 where nothing can run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare answers, time nothing")
    asked = parser.parse_args()
    torch.backends.cudnn.allow_tf32 = False  # float32 means float32, as in our kernels
    if asked.check:
        if DEVICE == "cuda" or interpreting():
            return check()
        print("no GPU: set TRITON_INTERPRET=1, and --check interprets the kernels", file=sys.stderr)
        return 2
    if DEVICE != "cuda":
        print("no GPU: nothing to time; --check compares the answers", file=sys.stderr)
        return 2
    gpu, (packages, versions) = torch.cuda.get_device_name(), installed()
    triton = import_module("triton").__version__
    made_by = results.environment() | {"triton": triton, "gpu": gpu, "cuda": torch.version.cuda}
    made_by |= versions
    rates = data_sheet(gpu) or measured()
    name = gpu.lower().removeprefix("nvidia ").removeprefix("geforce ").replace(" ", "_")
    out = RESULTS / f"kernels_{name}.csv"
    print(
        f"{gpu}: {rates.bytes / 1e12:.3g} TB/s, {rates.flops_16 / 1e12:.3g} TFLOP/s in 16 bits, "
        f"{rates.flops_32 / 1e12:.3g} in float32 ({rates.source})"
    )
    print(*(f"{package}: {version}" for package, version in versions.items()), sep="\n")
    fill(out, rates, made_by, packages)
    return report(list(csv.DictReader(out.open(newline=""))), gpu)


if __name__ == "__main__":
    sys.exit(main())
