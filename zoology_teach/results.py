"""A table of finished runs: a CSV file with a row a run, and beside it its provenance (.json).

A row is written in one piece, so a crash costs at most the last line, and that line does not
count. The provenance says which commands, versions and machines made the table.
"""

import csv
import io
import json
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import zoology_teach

TABLE_FORMAT = 1
COLUMNS = (
    "run mixer recipe d_model seq_len num_pairs vocab_size lr steps batch_size seed accuracy "
    "loss parameters state_size cpu_seconds seconds config"
).split()


def load(out: str | Path) -> pd.DataFrame:
    """The finished runs of a table. A last line cut short by a crash does not count.

    Raises FileNotFoundError, or ValueError when another version of the table wrote it.
    """
    out = Path(out)
    text = out.read_text()
    whole = text[: text.rfind("\n") + 1]
    header = whole.split("\n", 1)[0]
    if header != ",".join(COLUMNS) and whole:
        raise ValueError(
            f"{out}: not a table of format {TABLE_FORMAT} (its columns are {header[:60]!r} ...); "
            "move it away and run the sweep again"
        )
    note = provenance(out)
    if note.get("format") != TABLE_FORMAT:
        raise ValueError(
            f"{out.with_suffix('.json')}: format {note.get('format')!r}, this version reads "
            f"{TABLE_FORMAT}; move both files away and run the sweep again"
        )
    if not whole:
        return pd.DataFrame(columns=COLUMNS)
    return pd.read_csv(io.StringIO(whole), dtype={"run": str}).drop_duplicates("run")


def provenance(out: str | Path) -> dict[str, Any]:
    """How the table was made: format, and each command with its versions and machine."""
    path = Path(out).with_suffix(".json")
    return json.loads(path.read_text()) if path.exists() else {}


def append(out: Path, row: Mapping[str, Any]) -> None:
    """One line in one write, flushed to the disk: there or not there, never half."""
    line = io.StringIO()
    writer = csv.DictWriter(line, COLUMNS, lineterminator="\n")
    if not out.exists():
        writer.writeheader()
    writer.writerow(row)
    with open(out, "ab", buffering=0) as file:
        file.write(line.getvalue().encode())
        os.fsync(file.fileno())


def mend(out: Path) -> None:
    """Cut off a last line that a crash left without its end."""
    if out.exists():
        content = out.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if not whole:
            out.unlink()
        elif len(whole) < len(content):
            os.truncate(out, len(whole))


def note_provenance(out: Path, command: str) -> None:
    note = provenance(out) or {"format": TABLE_FORMAT, "commands": []}
    entry = {
        "command": command or "zoology_teach.sweep.run",
        "zoology_teach": zoology_teach.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "started": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    if entry not in note["commands"]:
        note["commands"].append(entry)
    temporary = out.with_suffix(".json.new")
    temporary.write_text(json.dumps(note, indent=1) + "\n")
    os.replace(temporary, out.with_suffix(".json"))
