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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import zoology_teach
from zoology_teach import files

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


def append(out: Path, row: Mapping[str, Any], columns: Sequence[str] = COLUMNS) -> None:
    """Add a row; only for the `sole_writer` of a table that was mended."""
    line = io.StringIO()
    writer = csv.DictWriter(line, columns, lineterminator="\n")
    if not out.exists() or not out.stat().st_size:
        writer.writeheader()
    writer.writerow(row)
    files.append(out, line.getvalue().encode())


def write(table: pd.DataFrame, out: Path) -> None:
    """A whole table at once; an interrupt leaves what was there before."""
    files.replace(out, table.to_csv(index=False, lineterminator="\n"))


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
    files.replace(out.with_suffix(".json"), json.dumps(note, indent=1) + "\n")
