"""A table of finished runs: a CSV file with a row a run, and beside it its provenance (.json).

A row is written in one piece, so a crash costs at most the last line, and that line does not
count. The provenance, which is there before the table, says which commands, versions and
machines made it. One process at a time writes a table (`sole_writer`); any may read it.
"""

import csv
import io
import json
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from filelock import FileLock, Timeout

import zoology_teach

TABLE_FORMAT = 1
COLUMNS = (
    "run mixer recipe d_model seq_len num_pairs vocab_size lr steps batch_size seed accuracy "
    "loss parameters state_size cpu_seconds seconds config"
).split()


def load(out: str | Path, columns: Sequence[str] = COLUMNS) -> pd.DataFrame:
    """The finished runs of a table. A last line cut short by a crash does not count.

    Raises FileNotFoundError, or ValueError when another version of the table wrote it.
    """
    out = Path(out)
    content = out.read_bytes()
    whole = content[: content.rfind(b"\n") + 1].decode()
    first, header = content.split(b"\n", 1)[0], ",".join(columns).encode()
    if first != header and (whole or not header.startswith(first)):
        raise ValueError(
            f"{out}: not a table of format {TABLE_FORMAT} (it begins {first[:60]!r} ...); "
            "move it away and run the sweep again"
        )
    if not provenance(out):
        raise ValueError(f"{out}: its provenance, {out.with_suffix('.json').name}, is missing")
    if not whole:
        return pd.DataFrame(columns=list(columns))
    return pd.read_csv(io.StringIO(whole), dtype={"run": str}).drop_duplicates("run")


def provenance(out: str | Path) -> dict[str, Any]:
    """How the table was made: format, and each command with its versions and machine.

    Empty where there is none. Raises ValueError when another version of the table wrote it.
    """
    path = Path(out).with_suffix(".json")
    if not path.exists():
        return {}
    try:
        note = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: not the provenance of a table ({error})") from None
    if note.get("format") != TABLE_FORMAT:
        raise ValueError(
            f"{path}: format {note.get('format')!r}, this version reads {TABLE_FORMAT}; "
            "move it and its table away and run the sweep again"
        )
    return note


@contextmanager
def sole_writer(out: Path) -> Iterator[None]:
    """Be the only one that writes this table. The lock of a process that dies is free again."""
    try:
        lock = FileLock(out.with_suffix(".lock")).acquire(timeout=0)
    except Timeout:
        raise OSError(f"{out}: another run is writing it; wait for that one") from None
    with lock:
        yield


def append(out: Path, row: Mapping[str, Any], columns: Sequence[str] = COLUMNS) -> None:
    """One line in one write, flushed to the disk: there or not there, never half.

    Only for the `sole_writer` of a table that was mended.
    """
    line = io.StringIO()
    writer = csv.DictWriter(line, columns, lineterminator="\n")
    with open(out, "ab", buffering=0) as file:
        size = file.tell()
        if not size:
            writer.writeheader()
        writer.writerow(row)
        content = line.getvalue().encode()
        if file.write(content) < len(content):
            file.truncate(size)
            raise OSError(f"{out}: no room for another row; what was finished is kept")
        os.fsync(file.fileno())


def write(table: pd.DataFrame, out: Path) -> None:
    """A whole table at once; an interrupt leaves what was there before."""
    temporary = out.with_suffix(".csv.new")
    table.to_csv(temporary, index=False, lineterminator="\n")
    os.replace(temporary, out)


def mend(out: Path) -> None:
    """Cut off a last line that a crash left without its end."""
    if out.exists():
        content = out.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(out, whole)


def environment() -> dict[str, str]:
    """The versions and the machine of this process."""
    return {
        "zoology_teach": zoology_teach.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


def note_provenance(out: Path, command: str, made_by: Mapping[str, str]) -> None:
    """Note a command, an `environment` that it runs in, and the day."""
    note = provenance(out) or {"format": TABLE_FORMAT, "commands": []}
    entry = {
        "command": command or "called from Python",
        **made_by,
        "started": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    if entry in note["commands"]:
        return
    note["commands"].append(entry)
    temporary = out.with_suffix(".json.new")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(json.dumps(note, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, out.with_suffix(".json"))
