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
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch

from zoology_teach import files
from zoology_teach.checks import require
from zoology_teach.version import code

TABLE_FORMAT = 1
COLUMNS = tuple(
    "run mixer recipe d_model seq_len num_pairs vocab_size lr steps batch_size seed accuracy "
    "loss parameters state_size cpu_seconds seconds config stages".split()
)
ROW = re.compile(rb'^"?[0-9a-f]{8,}"?,', re.MULTILINE)  # as one begins
TEXTS = ("run", "mixer", "recipe", "init", "source", "layers", "device")
COMPANIONS = (".json", ".lock", ".new")  # what stands beside a table under its name


def load(out: str | Path, columns: Sequence[str] = COLUMNS) -> pd.DataFrame:
    """The finished runs of a table. A last line cut short by a crash does not count.

    Raises FileNotFoundError, or ValueError when another version of the table wrote it.
    """
    out = Path(out)
    content = out.read_bytes()
    try:
        whole = whole_rows(content).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{out}: not a table any more, it is no UTF-8 ({error})") from None
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
    # A folder may be called NA, and a mixer nan; only numbers are missing under these names.
    missing = {name: [""] if name in TEXTS else ["", "nan"] for name in columns}
    rows = io.StringIO(whole, newline="")
    try:
        table = pd.read_csv(rows, dtype={"run": str}, keep_default_na=False, na_values=missing)
    except pd.errors.ParserError as error:
        raise ValueError(f"{out}: a row is damaged ({' '.join(str(error).split())})") from None
    if not isinstance(table.index, pd.RangeIndex):
        raise ValueError(f"{out}: a row is damaged (it has more fields than there are columns)")
    return table.drop_duplicates("run")


def whole_rows(content: bytes) -> bytes:
    """A table without a last row that a crash cut short, be it after a line end in a field.

    What else is wrong with it is left as it is, for a person to see.
    """
    end = content.rfind(b"\n") + 1
    start = end
    while start and content.count(b'"', 0, start) % 2:  # inside of a field
        start = content.rfind(b"\n", 0, start - 1) + 1
    return content[: start if len(ROW.findall(content[start:end])) == 1 else end]


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
    if not isinstance(note, dict) or not isinstance(note.get("commands"), list):
        raise ValueError(f"{path}: not the provenance of a table (it names no commands)")
    if note.get("format") != TABLE_FORMAT:
        raise ValueError(
            f"{path}: format {note.get('format')!r}, this version reads {TABLE_FORMAT}; "
            "move it and its table away and run the sweep again"
        )
    return note


def require_same_plugins(out: Path, plugins: Sequence[str]) -> None:
    """Raise ValueError where rows of the table were made with another content of a plugin.

    plugins  name and digest of each, as in `mixers.plugin.content`. A run is known by the name
             of its mixer, so what the file said before would count as done.
    """
    notes = provenance(out)["commands"] if out.exists() and provenance(out) else []
    before = {one for note in notes for one in note.get("plugins", "").split(", ") if one}
    for one in plugins:
        name = one.partition(" ")[0]
        others = sorted(o for o in before if o.partition(" ")[0] == name and o != one)
        made = f"{out} has runs of the {name} that was {', '.join(others)}"
        require(not others, "plugin", one, f"that of the table, or --out another: {made}")


def require_table(out: str | Path) -> Path:
    """`out` as a path, before any work is done for it.

    Raises ValueError where it cannot be a table: a folder, a pipe, a link to nothing, or a name
    that does not end in .csv, which might be that of another table's companion.
    """
    out = Path(out)
    require(not out.is_dir(), "out", str(out), "a file, such as table.csv")
    allowed = f"a table, such as table.csv: beside a table lie its {', '.join(COMPANIONS)}"
    require(out.suffix == ".csv", "out", str(out), allowed)
    for path in (out, out.with_suffix(".json")):
        free = path.is_file() or not (path.exists() or path.is_symlink())
        file = f"a table: {path} is there and no file (a pipe, a device, a link to nothing)"
        require(free, "out", str(out), file)
    return out


def require_writable(out: Path, folder: Path) -> None:
    """Make the folder of a table, before any run is done; `folder` is for what the runs leave.

    Raises ValueError where one of them cannot be made or written.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"out = {str(out)!r}: must be in a folder, made or not ({error})"
        ) from None
    no_file = folder.is_dir() or not folder.exists()
    require(no_file, "out", str(out), f"one for whose runs there is room: {folder} is a file")
    for path in (out, out.with_suffix(".json"), out.parent, folder):
        is_writable = os.access(path, os.W_OK) or not path.exists()
        require(is_writable, "out", str(out), f"one that can be written; {path} cannot")


def append(out: Path, row: Mapping[str, Any], columns: Sequence[str] = COLUMNS) -> None:
    """Add a row; only for the `sole_writer` of a table that was mended."""
    line = io.StringIO()
    writer = csv.DictWriter(line, columns, lineterminator="\n", quoting=_quoting(row.values()))
    if not out.exists() or not out.stat().st_size:
        csv.writer(line, lineterminator="\n").writerow(columns)
    writer.writerow(row)
    files.append(out, line.getvalue().encode("utf-8", "backslashreplace"))  # a folder's odd name


def write(table: pd.DataFrame, out: Path) -> None:
    """A whole table at once; an interrupt leaves what was there before."""
    quoting = _quoting(table.to_numpy().ravel())
    files.replace(out, table.to_csv(index=False, lineterminator="\n", quoting=quoting))


def _quoting(values: Iterable[Any]) -> Literal[0, 1]:
    """All fields are quoted where one holds a carriage return, which ends a line for readers."""
    lone = any(isinstance(value, str) and "\r" in value for value in values)
    return csv.QUOTE_ALL if lone else csv.QUOTE_MINIMAL


def is_replaceable(out: Path, table: pd.DataFrame) -> bool:
    """Whether nothing is at `out`, or something that begins with the columns of `table`."""
    if not out.exists():
        return True
    with open(out, "rb") as file:
        return file.readline().startswith(",".join(table.columns[:4]).encode())


def environment() -> dict[str, str]:
    """The code, the versions and the machine of this process."""
    return {
        "zoology_teach": code(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


def device_name(device: str) -> str:
    """What a table calls a device. Raises ValueError where it is not there."""
    if device == "cpu":
        return device
    has = torch.cuda.is_available()
    require(has, "device", device, "there; no GPU is found (the preset laptop needs none)")
    return torch.cuda.get_device_name()


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
