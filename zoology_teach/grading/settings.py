"""What decides the marks of one OUT folder: settings.json, with the secret seed.

As soon as one submission is graded, the folder keeps to it. The code may change from one run to
the next, since most changes leave marks alone; each row names the code that graded it.
"""

import hashlib
import json
import secrets
from collections.abc import Sequence
from pathlib import Path

import zoology_teach
from zoology_teach import files, version
from zoology_teach.checks import require, require_int
from zoology_teach.grading.exports import FILES
from zoology_teach.grading.ladder import Exercise
from zoology_teach.grading.ladders import EXERCISES
from zoology_teach.grading.sandbox import Limits
from zoology_teach.grading.written import RECORD

SETTINGS, GRADED = "settings.json", "graded.jsonl"
TABLES = ("grades.csv", "items.csv", "items.png")
OURS = (GRADED, RECORD, *TABLES, "feedback", *FILES.values())  # all but manual.csv
ANOTHER = "as when OUT was first graded, or OUT another folder"


def require_own_folder(out: Path) -> None:
    """Raise ValueError unless `out` is, or can become, a folder for grades and nothing else's."""
    require(not out.exists() or out.is_dir(), "out", str(out), "a folder, or a new name")
    if not (out / SETTINGS).exists():
        for name in OURS:
            there = (out / name).exists()
            allowed = f"without {name}, or with the {SETTINGS} that it was graded with"
            require(not there, "out", str(out), allowed)


def settle(
    out: Path, seed: int | None, exercises: Sequence[Exercise], sandboxed: bool, limits: Limits
) -> int:
    """The seed, and a note of what decides marks. Raises ValueError where OUT has other ones."""
    if seed is not None:
        require_int("seed", seed, 0)
    settings = {
        "version": zoology_teach.__version__,
        "exercises": [exercise.id for exercise in exercises],
        "ladders": _fingerprint(exercises),
        "sandboxed": sandboxed,
        "timeout": limits.submission_seconds,
        "call timeout": limits.call_seconds,
        "cell timeout": limits.cell_seconds,
    }
    path, graded = out / SETTINGS, out / GRADED
    before = _read(path) if path.exists() else {}
    if before and graded.exists() and graded.stat().st_size:
        stored = before["seed"]
        require(seed in (None, stored), "seed", seed, f"the one in {path}, or OUT another folder")
        for name, value in settings.items():
            same = before.get(name) == value
            was = before.get(name, "unknown")
            require(same, name, value, f"{was}, {ANOTHER} ({path})")
        return stored
    seed = secrets.randbelow(2**53) if seed is None else seed
    noted = settings | {"code": version.code(), "seed": seed}
    files.replace(path, json.dumps(noted, indent=1) + "\n")
    return seed


def graded_with(out: Path) -> tuple[list[Exercise], bool]:
    """The exercises that `out` was graded on, and whether in a sandbox.

    Raises ValueError where nothing was graded there, or by ladders that are others today.
    """
    path = out / SETTINGS
    there = path.exists() and (out / GRADED).exists()
    require(there, "out", str(out), f"a folder that was graded into: with {SETTINGS} and {GRADED}")
    settings = _read(path)
    exercises = [EXERCISES[id] for id in settings["exercises"] if id in EXERCISES]
    were, are = settings.get("ladders"), _fingerprint(exercises)
    require(were == are, "ladders", are, f"{were}, {ANOTHER} ({path})")
    return exercises, bool(settings["sandboxed"])


def _read(path: Path) -> dict:
    try:
        settings = json.loads(path.read_bytes())
        require_int("seed", settings["seed"], 0)
        settings["exercises"], settings["sandboxed"]
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{path}: not the settings of a graded class ({error})") from None
    return settings


def _fingerprint(exercises: Sequence[Exercise]) -> str:
    """Of the rungs and their points: results of other ladders do not fit into one table."""
    rungs = [[e.id, [[rung.name, rung.points] for rung in e.rungs]] for e in exercises]
    return hashlib.sha256(json.dumps(rungs).encode()).hexdigest()[:12]
