"""Of the files of one student, the one that counts for each chapter.

A file belongs to the chapter whose number its name begins with or, where it has no number or
solves nothing of that chapter, to those whose functions it defines. Of several for one chapter
comes first what defines one of its functions and not only the stub, then what gives such a name
a value, then what has any code at all; then a notebook before a text, and then the latest.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

from zoology_teach.grading.archives import Entry, Unreadable, is_notebook
from zoology_teach.grading.ladders import EXERCISES
from zoology_teach.grading.notebooks import code_cells
from zoology_teach.grading.origins import COPY, Origin
from zoology_teach.grading.stub import BEGIN, is_stub
from zoology_teach.grading.students import CHAPTER, Files

MOST_LOOKED_AT = 300  # files of one student
MOST_BYTES = 50 * 1024**2  # in all of them
CODE = re.compile(r"^[ \t]*[^#\s]", re.MULTILINE)
MOST_OF_A_FUNCTION = 20_000  # characters
UNREADABLE, NO_CODE, HAS_CODE, STUBBED, ASSIGNS, SOLVES = range(6)


@dataclass(frozen=True)
class Version:
    """A file that was looked at.

    cells: its code, or None with the `problem` where it cannot be read. worth: for each chapter
    to which it belongs ("" for none), UNREADABLE to SOLVES. digest: of its bytes; size: theirs.
    """

    origin: Origin
    entry: Entry
    cells: list[str] | None
    problem: str
    worth: dict[str, int]
    digest: str = ""
    size: int = 0

    def rank(self, chapter: str) -> tuple:
        """The last in this order counts for the chapter."""
        name = self.origin.name
        return self.worth[chapter], is_ipynb(name), latest((self.origin, self.entry))

    @property
    def is_readable(self) -> bool:
        """Whether there are cells."""
        return self.cells is not None


@dataclass
class Choice:
    """What counts, in order of the chapters; what could not be read; what was passed over.

    others: of what was passed over what was looked at, from the best one on.
    """

    counts: list[Version] = field(default_factory=list)
    unreadable: list[Version] = field(default_factory=list)
    passed_over: Files = field(default_factory=list)
    others: list[Version] = field(default_factory=list)

    @property
    def is_answer(self) -> bool:
        """Whether any of what counts makes more than a stub of what is asked for."""
        return any(max(version.worth.values()) > STUBBED for version in self.counts)


def choose(files: Files, chapter: str | None) -> Choice:
    """What counts of a student's notebooks; with `chapter` only that chapter's if there is one."""
    names = _asked()
    order = sorted(files, key=lambda file: _promise(file, chapter))[::-1]
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
        [v for v in others if not v.is_readable],
        [(v.origin, v.entry) for v in others if v.is_readable] + skipped,
        sorted((v for v in others if v.is_readable), key=_best_rank, reverse=True),
    )


def _promise(file: tuple[Origin, Entry], chapter: str | None) -> tuple:
    """Sorts by what a name promises; of too many files, the first ones are not looked at."""
    name = file[0].name
    number = CHAPTER.match(name)
    wanted = number is not None and number[1] == chapter
    return wanted, number is not None, is_ipynb(name), latest(file)


def _counting(looked: list[Version], chapter: str | None) -> list[Version]:
    chapters = {name for version in looked for name in version.worth}
    if chapter in chapters:
        chapters = {chapter}
    best = {name: _best(looked, name) for name in sorted(chapters)}
    numbered = [v for name, v in best.items() if name and v.worth[name] > NO_CODE]
    if not numbered:
        numbered = sorted(best.values(), key=_best_rank)[-1:]
    once = {id(version): version for version in numbered if version.is_readable}
    return list(once.values())


def _best_rank(version: Version) -> tuple:
    return max(map(version.rank, version.worth))


def _best(looked: list[Version], chapter: str) -> Version:
    there = [version for version in looked if chapter in version.worth]
    return sorted(there, key=lambda version: version.rank(chapter))[-1]


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


def _look(origin: Origin, entry: Entry, asked: dict[str, str]) -> Version:
    match = CHAPTER.match(origin.name)
    number = match[1] if match and match[1] in asked.values() else ""
    data = b""
    try:
        data = entry.read()
        cells = read_cells(data, origin.name)
    except (Unreadable, ValueError) as error:
        digest = sha256(data).hexdigest()
        return Version(origin, entry, None, str(error), {number: UNREADABLE}, digest, len(data))
    code = "\n".join(cells)
    of_the_course = BEGIN in code and not is_ipynb(origin.name)  # a file of solutions/
    worth: dict[str, int] = {}
    for found in made(code, asked):
        value = STUBBED if of_the_course else found.worth
        worth[asked[found.name]] = max(value, worth.get(asked[found.name], 0))
    any_code = HAS_CODE if CODE.search(code) else NO_CODE
    if number and (number in worth or not worth):
        worth = {number: worth.get(number, any_code)}
    worth = worth or {"": any_code}
    return Version(origin, entry, cells, "", worth, sha256(data).hexdigest(), len(data))


@dataclass(frozen=True)
class Made:
    """Where code makes a function that is asked for: SOLVES, ASSIGNS or STUBBED, from to."""

    name: str
    worth: int
    start: int
    end: int


def made(code: str, names: Iterable[str]) -> list[Made]:
    """Where `code` makes a function or class of `names`, or gives such a name a value."""
    any_of = "|".join(map(re.escape, names))
    function = rf"(?:(?:async[ \t]+)?def|class)[ \t]+(?P<function>{any_of})\b"
    value = rf"(?P<value>{any_of})[ \t]*(?::[^=\n]*)?=(?!=)[ \t]*(?P<is_lambda>lambda\b)?"
    found = []
    for match in re.finditer(rf"^(?P<indent>[ \t]*){function}|^{value}", code, re.MULTILINE):
        name, end = match["function"] or match["value"], match.end()
        worth = SOLVES if match["is_lambda"] else ASSIGNS
        if match["function"]:
            end = _end(code, match.end(), match["indent"])
            worth = STUBBED if is_stub(code[match.end() : end]) else SOLVES
        found.append(Made(name, worth, match.start(), end))
    return found


def without_stubs(cells: list[str]) -> list[str]:
    """Cells of several files without the stubs of what another of them solves."""
    asked = _asked()
    solved = {m.name for cell in cells for m in made(cell, asked) if m.worth == SOLVES}
    found = []
    for cell in cells:
        for stub in reversed(made(cell, asked)):  # from the end: the places before stay right
            if stub.worth == STUBBED and stub.name in solved and _is_alone(cell[: stub.start]):
                cell = cell[: stub.start] + cell[stub.end :]
        found.append(cell)
    return found


def _is_alone(before: str) -> bool:
    """Whether nothing needs what comes next: no block and no decorator."""
    last = before.rstrip().rpartition("\n")[2].strip()
    return not last.endswith(":") and not last.startswith("@")


def _end(code: str, start: int, indent: str) -> int:
    """Where a function at this indentation ends; at most MOST_OF_A_FUNCTION on."""
    end = re.compile(rf"\n[ \t]{{0,{len(indent)}}}[^\s#)]")  # 10 times as fast as with ^
    stop = min(start + MOST_OF_A_FUNCTION, len(code))
    found = end.search(code, start, stop)
    return found.start() + 1 if found else stop


def read_cells(data: bytes, name: str) -> list[str]:
    """The code cells of a file, also of a notebook that a browser saved as a text."""
    if not is_notebook(name) or is_ipynb(name):
        name = "notebook.ipynb"
    return code_cells(data, name)
