"""How many small faults do the tests see? ``make mutate``, or ``python -m tests.mutation --help``.

A copy of the repository gets one fault at a time; a process forked from this one, which has
imported torch already, runs the tests that reach the changed function, the quickest first, until
one fails. What survives them meets the tests in the sandbox and of kernels that import its module.
What was found is kept in ``mutation_runs/``: a second call goes on from there, asks again about
what survived, and runs the tests of a changed file again to see what they reach.
"""

import argparse
import csv
import hashlib
import importlib
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache, partial
from itertools import product
from pathlib import Path

import pytest

from tests.mutation.operators import Mutation, mutations
from tests.mutation.reach import Reach
from tests.mutation.trials import Trials, forked, keeps_variables, run, survives_import

ROOT = Path(__file__).parents[2]
RUNS = ROOT / "mutation_runs"
COPY = RUNS / "copy"
KNOWN = ROOT / "tests" / "mutation" / "survivors.csv"
MODULES = (
    "tasks kernels mixers training experiments cost grading constructions "
    "recall.py model.py files.py configuration.py checks.py"
).split()
# Not here: what describes the repository; what needs a browser, a sandbox or other processes.
LEFT_OUT = (
    "environment contributing package prose chapters browser speed benchmarks doctor mutation "
    "executors figure2 processes"
).split()
QUICK = "not (sandbox or browser or kernel or slow)"  # what takes long is found by the clock
KERNEL = "kernel and not (sandbox or browser or slow)"
LONG = "(kernel or sandbox) and not (browser or slow)"
BUDGET = 20  # CPU seconds of tests for one fault
LONG_BUDGET = 300  # of those marked LONG in one file
WARM = "torch torch._dynamo triton scipy.stats pandas matplotlib.pyplot hypothesis IPython"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", default=MODULES, help="below zoology_teach/")
    parser.add_argument("--sample", type=int, help="so many faults, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--kernels", action="store_true", help="run Triton's interpreter too")
    choice = parser.parse_args()
    refresh()
    faults = [fault for module in sources(choice.modules) for fault in mutations(COPY, module)]
    if choice.sample and choice.sample < len(faults):
        chosen = sorted(random.Random(choice.seed).sample(range(len(faults)), choice.sample))
        faults = [faults[i] for i in chosen]
    os.environ |= {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(COPY)}
    for name in WARM.split():
        importlib.import_module(name)
    os.chdir(COPY)
    sys.path.insert(0, str(COPY))
    tests = reached([QUICK, *([KERNEL] if choice.kernels else [])])
    report(list(try_all(faults, tests)))


def refresh() -> None:
    """The copy is as the repository is. What has not changed keeps its time of change."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, names.split("\0")):
        here, there = ROOT / name, COPY / name
        if here.is_file() and not (there.exists() and here.read_bytes() == there.read_bytes()):
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(here, there)


def sources(modules: list[str]) -> Iterator[str]:
    """Paths of the sources, below the root."""
    for name in modules:
        place = COPY / "zoology_teach" / name
        if not place.exists():
            raise SystemExit(f"there is no zoology_teach/{name}")
        for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
            if "ladders" not in path.parts:
                yield path.relative_to(COPY).as_posix()


def reached(marks: list[str]) -> list[dict]:
    """Every test: its name, its seconds and the functions that it calls."""
    paths = sorted((COPY / "tests").rglob("test_*.py"))
    paths = [path for path in paths if not any(word in path.stem for word in LEFT_OUT)]
    found = []
    for marked, path in product(marks, paths):
        stored = RUNS / "reach" / f"{digest(path.read_text() + marked)}.json"
        if not stored.exists():
            stored.parent.mkdir(exist_ok=True)
            print(f"what {path.relative_to(COPY)} reaches", flush=True)
            forked(partial(note_reach, path, marked, stored), 900, RUNS / "output.txt")
        tests = json.loads(stored.read_text()) if stored.exists() else {}
        found += [{"name": name, **test} for name, test in tests.items()]
    return sorted(found, key=lambda test: test["seconds"])


def note_reach(path: Path, marked: str, stored: Path) -> int:
    reach = Reach(COPY)
    pytest.main([str(path), "-q", "-m", marked, "-p", "no:cacheprovider"], plugins=[reach])
    stored.write_text(json.dumps(reach.tests()))
    return 0


def try_all(faults: list[Mutation], tests: list[dict]) -> Iterator[tuple[Mutation, str]]:
    """Each fault and "killed", "survived" or "unreached". What was killed is not asked again."""
    trials = {fault: for_fault(fault, tests) for fault in faults}
    quick = [
        (fault, [test["name"] for test in chosen])
        for fault, chosen in trials.items()
        if in_place(fault, chosen) and not mark(fault).exists()
    ]
    if quick:
        files = sorted({name.split("::")[0] for _, names in quick for name in names})
        print(f"{len(quick)} faults the quick way, {len(files)} files of tests", flush=True)
        killer = Trials(quick, kill, COPY)
        options = ["-q", "-p", "no:cacheprovider"]
        work = partial(pytest.main, [*files, *options], plugins=[killer])
        forked(work, None, RUNS / "output.txt")
    for i, (fault, chosen) in enumerate(trials.items(), 1):
        result = "killed" if mark(fault).exists() else "unreached"
        if result != "killed" and chosen and in_place(fault, chosen):
            result = "survived"
        elif result != "killed" and chosen:
            seconds = 60 + 3 * int(sum(test["seconds"] for test in chosen))
            work = partial(run, [test["name"] for test in chosen])
            result = "survived" if survives_import(fault, work, seconds, COPY) else "killed"
        if result == "survived" and not survives_long_tests(fault):
            result = "killed"
        if result == "killed":
            kill(fault)
        elif result == "survived":
            print(f"{i:4} {result} {fault.module}:{fault.line} {fault.change}", flush=True)
        yield fault, result


def survives_long_tests(fault: Mutation) -> bool:
    """Whether the tests marked LONG pass, in every file that imports the faulty module."""
    files = [file for file in sorted(files_with(an_import_of(fault.module))) if passes(file)]
    return all(survives_import(fault, partial(long_tests, f), LONG_BUDGET, COPY) for f in files)


@cache
def passes(file: str) -> bool:
    """Whether a file has tests marked LONG, and they pass without a fault."""
    return forked(partial(long_tests, file), LONG_BUDGET, RUNS / "output.txt") == 0


def long_tests(file: str) -> int:
    return pytest.main([file, "-qx", "-m", LONG, "-p", "no:cacheprovider"])


def in_place(fault: Mutation, chosen: list[dict]) -> bool:
    """Whether the quick way serves: these tests call the function whose body has the fault, and
    the fault fits into it."""
    place = f"{fault.module}:{fault.function}"
    is_called = fault.in_body and bool(chosen) and place in chosen[0]["functions"]
    return is_called and keeps_variables(fault, COPY)


def mark(fault: Mutation) -> Path:
    """The file that says: this fault in this source was killed."""
    source = (COPY / fault.module).read_text()
    return RUNS / "killed" / digest(f"{fault.module} {fault.start} {fault.change} {source}")


def kill(fault: Mutation) -> None:
    mark(fault).parent.mkdir(exist_ok=True)
    mark(fault).touch()


def for_fault(fault: Mutation, tests: list[dict]) -> list[dict]:
    """The tests to ask, the quickest first; of a constant or a default first those of all such."""
    place = f"{fault.module}:{fault.function}"
    able = [test for test in tests if place in test["functions"]]
    if not fault.in_body:
        prefix, looking = f"{fault.module}:", files_with(an_import_of(fault.module))
        first = [t for t in tests if t["name"].split("::")[0] in files_with("walk_packages")]
        able = [*first, *able, *(t for t in tests if t["name"].split("::")[0] in looking)]
        able += [t for t in tests if any(name.startswith(prefix) for name in t["functions"])]
        able = list({test["name"]: test for test in able}.values())
    chosen, seconds = [], 0.0
    for test in able:
        seconds += test["seconds"]
        if seconds < BUDGET or not chosen:
            chosen.append(test)
    return chosen


def an_import_of(module: str) -> str:
    """A pattern that is found where a module is imported."""
    package, _, name = module.removesuffix(".py").removesuffix("/__init__").rpartition("/")
    package = re.escape(package.replace("/", "."))
    return rf"{package}\.{name}\b|from {package} import [^#]*?\b{name}\b"


@cache
def files_with(pattern: str) -> frozenset[str]:
    """The files of tests in which a pattern is found."""
    paths = (COPY / "tests").rglob("test_*.py")
    found = [path for path in paths if re.search(pattern, path.read_text())]
    return frozenset(path.relative_to(COPY).as_posix() for path in found)


def report(outcomes: list[tuple[Mutation, str]]) -> None:
    """The score of each package and of all, and what survived."""
    with KNOWN.open(newline="") as file:
        known = {(r["module"], r["text"], r["change"]): r["reason"] for r in csv.DictReader(file)}
    counts: dict[str, Counter] = {}
    for fault, result in outcomes:
        reason = known.get((fault.module, fault.text, fault.change))
        if result == "survived":
            print(f"{fault.module}:{fault.line} {fault.text}\n    {fault.change}")
            print(f"    known: {reason}" if reason else "    NOT KNOWN")
            result = "known" if reason else result
        package = fault.module.removeprefix("zoology_teach/").rpartition("/")[0] or "the root"
        for name in (package, "all"):
            counts.setdefault(name, Counter())[result] += 1
    for name, count in counts.items():
        asked = sum(count.values()) - count["unreached"]
        low, high = interval(count["killed"], asked)
        rest = ", ".join(f"{count[kind]} {kind}" for kind in ("survived", "known", "unreached"))
        share = f"{count['killed']} of {asked} asked about killed ({low:.1%} to {high:.1%})"
        print(f"{name:16} {share}; {rest}")


def interval(killed: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    if total == 0:
        return 0.0, 1.0
    z, share = 1.96, killed / total
    middle = share + z * z / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total**2))
    return (middle - half) / (1 + z * z / total), (middle + half) / (1 + z * z / total)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


if __name__ == "__main__":
    main()
