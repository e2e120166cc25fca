"""Who handed a file in, by the names that files have in the exports of learning platforms.

- Canvas: ``lastnamefirstname_[LATE_]userid_fileid_name-N.ipynb``, anonymous ones too;
- Moodle: ``Full Name_12345_assignsubmission_file_/name.ipynb``, and the same without folders;
- anything else, nbgrader's folders among it: ``student/.../name.ipynb`` or ``student.ipynb``.
"""

import hashlib
import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass

from zoology_teach.grading.archives import Entry
from zoology_teach.grading.notebooks import SUFFIXES
from zoology_teach.grading.records import visible

CANVAS = re.compile(
    r"(?P<name>\w+?)_(?:LATE_)?(?P<id>[1-9]\d*)_"
    r"(?:(?P<attempt>[1-9]\d*)_(?P<rest>.+)|(?:text|link)\.html)",
    re.DOTALL,
)
CANVAS_ANONYMOUS = re.compile(
    r"(?P<name>(?:LATE_)?anon_(?P<id>\w+?))_(?P<attempt>[1-9]\d*)_(?P<rest>.+)", re.DOTALL
)
MOODLE = re.compile(r"(?P<name>.+)_(?P<id>\d+)_assignsubmission_[a-z]+_?(?P<rest>.*)", re.DOTALL)
CHAPTER = re.compile(r"\s*(\d\d)(?!\d)")
COPY = re.compile(r"-(\d{1,9})(?=\.\w+$)")


@dataclass(frozen=True)
class Origin:
    """Who handed a file in, as its name says; `id` is the learning platform's own number."""

    platform: str  # "canvas", "moodle" or "" for files that no platform named
    student: str
    id: str = ""
    attempt: int = 0
    name: str = ""  # of the file, as the student had it

    @property
    def identity(self) -> str:
        """The same for two files just when they are from the same student."""
        return f"{self.platform}:{self.id or self.student}"


Files = list[tuple[Origin, Entry]]


def group(entries: list[Entry]) -> tuple[dict[str, Files], list[str]]:
    """Entries by the identity of the student who handed them in, and notes on the others."""
    depth = _wrapping(entries)
    entries = [entry for entry in entries if len(entry.path) > depth]
    from_canvas = _is_canvas([entry.path[depth] for entry in entries if not entry.is_folder])
    by_student: dict[str, Files] = defaultdict(list)
    notes = []
    for entry in entries:
        path = entry.path[depth:]
        origin = _moodle(path[0])
        if origin and len(path) > 1:
            origin = Origin("moodle", origin.student, origin.id, name=path[-1])
        if not origin and from_canvas and len(path) == 1:
            origin = _canvas(path[0])
        if not origin and len(path) == 1 and not entry.is_folder and not is_notebook(path[0]):
            notes.append(f"passed over, no notebook: {visible('/'.join(entry.path))}")
            continue
        origin = origin or _plain(path, entry.is_folder)
        by_student[origin.identity].append((origin, entry))
    return by_student, notes


def _wrapping(entries: list[Entry]) -> int:
    """How many folders lie around all the others, as in a zip of one folder of submissions."""
    depth = 0
    while True:
        inner = [entry for entry in entries if len(entry.path) > depth + 1]
        tops = {entry.path[depth] for entry in entries if len(entry.path) > depth}
        below = {entry.path[depth + 1] for entry in inner}
        if len(tops) != 1 or not inner or _moodle(next(iter(tops))):
            return depth
        named_by_platform = any(_moodle(name) for name in below) or _is_canvas(list(below))
        if not named_by_platform and (len(below) < 2 or any(map(CHAPTER.match, below))):
            return depth
        depth += 1


def _is_canvas(names: list[str]) -> bool:
    """Whether names that look like Canvas's are: each of its files has a number of its own."""
    origins = [origin for name in names if (origin := _canvas(name))]
    numbered = {(o.attempt, COPY.sub("", o.name)) for o in origins if o.attempt}
    return bool(origins) and len({attempt for attempt, _ in numbered}) == len(numbered)


def is_notebook(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not re.match(r"readme\b", name, re.IGNORECASE)


def platform_id(file: str, key: str, platform: str) -> str:
    """The student's number on "canvas" or "moodle" as the path says it, "" where it does not.

    A path counts only if it is what the key was made of: no name that a student chose for a
    file stands for another student.
    """
    for part in re.split(r"/| \+ ", file):
        for origin in (_canvas(part), _moodle(part)):
            if origin and origin.platform == platform and _hash(origin.identity) == key[-8:]:
                return origin.id
    return ""


def _hash(identity: str) -> str:
    return hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def key_of(student: str, identity: str) -> str:
    plain = unicodedata.normalize("NFKD", student).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain)[:60].strip("-")
    return f"{slug or 'student'}-{_hash(identity)}"


def _canvas(name: str) -> Origin | None:
    match = CANVAS.fullmatch(name) or CANVAS_ANONYMOUS.fullmatch(name)
    if not match or not re.search(r"[^\W\d_]", match["name"]):  # no letter: a date, not a name
        return None
    attempt, rest = int((match["attempt"] or "0")[:20]), match["rest"] or ""
    return Origin("canvas", match["name"].removeprefix("LATE_"), match["id"], attempt, rest)


def _moodle(name: str) -> Origin | None:
    match = MOODLE.fullmatch(name)
    return match and Origin("moodle", match["name"], match["id"], name=match["rest"])


def _plain(path: tuple[str, ...], is_folder: bool) -> Origin:
    if len(path) > 1 or is_folder:
        return Origin("", path[0], name=path[-1])
    return Origin("", path[0].rpartition(".")[0] or path[0], name=path[0])
