"""Of the files of one student, the one that counts for each chapter.

A file belongs to the chapter whose number its name begins with or, where it has no number or
solves nothing of that chapter, to those whose functions it defines. Of several for one chapter
comes first what defines a function that is asked for and not only its stub, then what gives its
name a value, then what has any code at all; then a notebook before a text, and then the latest.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

from zoology_teach.grading.archives import Entry, Unreadable, is_notebook
from zoology_teach.grading.ladders import EXERCISES
from zoology_teach.grading.notebooks import code_cells
from zoology_teach.grading.origins import COPY, Origin
from zoology_teach.grading.stub import BEGIN, PLACEHOLDER
from zoology_teach.grading.students import CHAPTER, Files

MOST_LOOKED_AT = 300  # files of one student
MOST_BYTES = 50 * 1024**2  # in all of them
CODE = re.compile(r"^[ \t]*[^#\s]", re.MULTILINE)
FUNCTION = re.compile(r"(?:async[ \t]+)?(?:def|class)[ \t]")
UNREADABLE, NO_CODE, HAS_CODE, DEFINES, ASSIGNS, SOLVES = range(6)


@dataclass(frozen=True)
class Version:
    """A file that was looked at.

    cells: its code, or None with the `problem` where it cannot be read. chapters: where it
    belongs, "" for no chapter. worth: UNREADABLE to SOLVES. digest: of its bytes; size: theirs.
    """

    origin: Origin
    entry: Entry
    cells: list[str] | None
    problem: str
    chapters: set[str]
    worth: int
    digest: str = ""
    size: int = 0

    @property
    def rank(self) -> tuple:
        """The last in this order counts."""
        return self.worth, is_ipynb(self.origin.name), latest((self.origin, self.entry))


@dataclass
class Choice:
    """What counts, in order of the chapters; what could not be read; what was passed over."""

    counts: list[Version] = field(default_factory=list)
    unreadable: list[Version] = field(default_factory=list)
    passed_over: Files = field(default_factory=list)


def choose(files: Files, chapter: str | None) -> Choice:
    """What counts of a student's notebooks; with `chapter` only that chapter's if there is one."""
    names = _asked()
    order = sorted(files, key=_promise)[::-1]
    looked, skipped, size = [], list(order[MOST_LOOKED_AT:]), 0
    for file in order[:MOST_LOOKED_AT]:
        if size > MOST_BYTES:
            skipped.append(file)
            continue
        looked.append(_look(*file, names))
        size += looked[-1].size
    looked.reverse()  # of equals the last one, as stored
    counts = _counting(looked, chapter)
    others = [v for v in looked if v not in counts]
    return Choice(
        counts,
        [v for v in others if v.worth == UNREADABLE],
        [(v.origin, v.entry) for v in others if v.worth > UNREADABLE] + skipped,
    )


def _promise(file: tuple[Origin, Entry]) -> tuple:
    """Sorts by what a name promises; of too many files, the first ones are not looked at."""
    name = file[0].name
    return is_ipynb(name), bool(CHAPTER.match(name)), latest(file)


def _counting(looked: list[Version], chapter: str | None) -> list[Version]:
    by_chapter: dict[str, list[Version]] = defaultdict(list)
    for version in looked:
        for name in version.chapters:
            by_chapter[name].append(version)
    if chapter in by_chapter:
        by_chapter = {chapter: by_chapter[chapter]}
    best = {name: sorted(by_chapter[name], key=_rank)[-1] for name in sorted(by_chapter)}
    numbered = [version for name, version in best.items() if name and version.worth > NO_CODE]
    if not numbered:
        numbered = sorted(best.values(), key=_rank)[-1:]
    once = {id(version): version for version in numbered if version.worth > UNREADABLE}
    return list(once.values())


def _rank(version: Version) -> tuple:
    return version.rank


def latest(file: tuple[Origin, Entry]) -> tuple:
    """Sorts by the number that the platform gave, then by change, then by name."""
    origin, entry = file
    copy = COPY.search(origin.name) if origin.platform == "canvas" else None
    digits = [(len(d.lstrip("0")), d) for d in re.findall(r"\d+", origin.name)]  # 10 after 9
    return origin.attempt, int(copy[1]) if copy else 0, entry.time, digits, entry.path


def is_ipynb(name: str) -> bool:
    """Whether a file is called a notebook of Jupyter's, whatever a browser put behind it."""
    return not name.lower().endswith((".md", ".py"))


def _asked() -> dict[str, str]:
    """The functions that are asked for, each with its chapter."""
    return {exercise.function: id[:2] for id, exercise in EXERCISES.items()}


def _defined(code: str, names: Iterable[str]) -> tuple[set[str], set[str]]:
    """Which of `names` the code defines as a function or a class, and which it gives a value."""
    any_of = "|".join(map(re.escape, names))
    function = rf"^[ \t]*(?:(?:async[ \t]+)?def|class)[ \t]+({any_of})\b"
    function += rf"|^({any_of})[ \t]*(?::[^=\n]*)?=[ \t]*lambda\b"
    value = rf"^({any_of})[ \t]*[:=](?!=)"
    defined = {a or b for a, b in re.findall(function, code, re.MULTILINE)}
    return defined, set(re.findall(value, code, re.MULTILINE)) - defined


def _stubs(code: str) -> int:
    """How many functions stop at the placeholder: it is no comment, and nothing returns before."""
    stubs, returned = 0, False
    for line in map(str.strip, code.split("\n")):
        if FUNCTION.match(line):
            returned = False
        elif re.match(r"return\b", line):
            returned = True
        elif line.startswith(PLACEHOLDER) and not returned:
            stubs += 1
    return stubs


def _look(origin: Origin, entry: Entry, asked: dict[str, str]) -> Version:
    match = CHAPTER.match(origin.name)
    number = match[1] if match else ""
    data = b""
    try:
        data = entry.read()
        cells = read_cells(data, origin.name)
    except (Unreadable, ValueError) as error:
        return Version(
            origin,
            entry,
            None,
            str(error),
            {number},
            UNREADABLE,
            sha256(data).hexdigest(),
            len(data),
        )
    code = "\n".join(cells)
    defined, assigned = _defined(code, asked)
    chapters = {asked[name] for name in defined | assigned}
    if number and (number in chapters or not chapters):
        chapters = {number}
    of_the_course = BEGIN in code and not is_ipynb(origin.name)  # a file of solutions/
    stubs = len(defined) if of_the_course else _stubs(code)
    worth = NO_CODE
    if CODE.search(code):
        worth = ASSIGNS if assigned else DEFINES if defined else HAS_CODE
        worth = SOLVES if len(defined) > stubs else worth
    digest = sha256(data).hexdigest()
    return Version(origin, entry, cells, "", chapters or {number}, worth, digest, len(data))


def read_cells(data: bytes, name: str) -> list[str]:
    """The code cells of a file, also of a notebook that a browser saved as a text."""
    if not is_notebook(name) or is_ipynb(name):
        name = "notebook.ipynb"
    return code_cells(data, name)
