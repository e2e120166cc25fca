"""OUT is also a place to work in: what a teacher changed there is kept beside the new file.

`written.jsonl` remembers the digest of each file as it was written. A file that differs from
it was changed by somebody: it is never removed, it stays while there is nothing new to write,
and becomes NAME.yours when there is. A file without an entry is treated the same.
"""

import hashlib
import json
from pathlib import Path

from zoology_teach import files

RECORD = "written.jsonl"


class Written:
    """The generated files below `out`; only for its `sole_writer`."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.notes: list[str] = []
        self._digests = _read(out / RECORD)
        self._now: dict[str, str] = {}

    def write(self, path: Path, content: bytes) -> None:
        """Have `content` in the file, whatever was there before being kept if it is not ours."""
        name, digest = path.relative_to(self.out).as_posix(), _digest(content)
        there = _digest(path.read_bytes()) if path.exists() else ""
        self._now[name] = digest
        if digest not in self._digests.get(name, ())[-1:]:
            self._record(name, digest)  # first: a crash must not make it somebody else's
        elif there:
            return
        if there in ("", digest) or self._is_ours(name, there):
            if there != digest:
                files.replace(path, content)
            return
        self._set_aside(path)
        files.replace(path, content)

    def remove_others(self, below: str) -> None:
        """Remove what an earlier run wrote below a folder and this one did not."""
        for name in [n for n in self._digests if n.startswith(f"{below}/") and n not in self._now]:
            path = self.out / name
            if not path.exists():
                continue
            if self._is_ours(name, _digest(path.read_bytes())):
                path.unlink()
                if path.parent.name != below and not any(path.parent.iterdir()):
                    path.parent.rmdir()
            else:
                self.notes.append(f"{path}: changed by hand, and no longer needed; kept")

    def exists(self, name: str) -> bool:
        """Whether an earlier run wrote `name` (a file, or a folder of files) and it is there."""
        known = [n for n in self._digests if n == name or n.startswith(f"{name}/")]
        return any((self.out / n).exists() for n in known)

    def close(self) -> None:
        """Remember only what is there now."""
        kept = {n: d[-1] for n, d in self._digests.items() if (self.out / n).exists()}
        lines = [json.dumps({name: digest}) + "\n" for name, digest in sorted(kept.items())]
        files.replace(self.out / RECORD, "".join(lines))

    def _is_ours(self, name: str, digest: str) -> bool:
        return digest in self._digests.get(name, ())

    def _record(self, name: str, digest: str) -> None:
        files.append(self.out / RECORD, json.dumps({name: digest}).encode() + b"\n")
        self._digests[name] = (*self._digests.get(name, ()), digest)

    def _set_aside(self, path: Path) -> None:
        aside, number = path.with_name(f"{path.name}.yours"), 2
        while aside.exists():
            aside, number = path.with_name(f"{path.name}.yours-{number}"), number + 1
        path.rename(aside)
        self.notes.append(f"{path}: changed by hand; that is {aside.name} now")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _read(path: Path) -> dict[str, tuple[str, ...]]:
    """File -> the digests that it was given since the last whole run. Raises ValueError."""
    files.mend(path)
    found: dict[str, tuple[str, ...]] = {}
    try:
        for line in path.read_bytes().splitlines() if path.exists() else []:
            for name, digest in json.loads(line).items():
                found[name] = (*found.get(name, ()), str(digest))
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path}: not a record of written files ({error})") from None
    return found
