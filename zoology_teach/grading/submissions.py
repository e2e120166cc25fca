"""A folder or zip of notebooks -> one Submission for each student, whatever it holds."""

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from zoology_teach.checks import require
from zoology_teach.grading.answers import GIVEN_NOTHING, Given, answers, texts
from zoology_teach.grading.archives import Entry, Unreadable, opened
from zoology_teach.grading.notebooks import MAX_CODE, SUFFIXES, as_notebook, code_cells
from zoology_teach.grading.notebooks import is_notebook as begins_as_notebook
from zoology_teach.grading.origins import Origin, key_of
from zoology_teach.grading.records import visible
from zoology_teach.grading.students import Files, group, is_notebook
from zoology_teach.grading.versions import Choice, choose, without_stubs

MOST_NOTES = 10  # on one student
PACKED = re.compile(r"\.(zip|rar|7z|tar|tgz|tar\.\w+)$")
MOST_OTHERS = 20  # files without a notebook's name that are looked into for one


@dataclass(frozen=True)
class Cell:
    """One code cell; `number` counts from 1 among the code cells."""

    number: int
    source: str


@dataclass(frozen=True)
class Submission:
    """What one student handed in.

    student: the name as the file name (or folder) has it, any characters.
    key: safe and unique, [a-z0-9-]{1,60}-[0-9a-f]{8}; names the student's files in OUT.
    file: path inside SUBMISSIONS, for the teacher; " + " between several.
    digest: sha256 of the code, or of the problem where it cannot be read.
    data: a notebook of the code cells alone, None where none can be read.
    problem: why none can be read, "" where one can.
    handed_in: 12 hex digits of the files as they are, text and outputs included.
    answers: by id of an open question, what the student wrote, where there is anything.
    """

    student: str
    key: str
    file: str
    digest: str
    data: bytes | None
    problem: str = ""
    handed_in: str = ""
    answers: Mapping[str, str] = field(default_factory=dict)


def cells(submission: Submission) -> list[Cell]:
    """The code cells in order. Raises ValueError, and nothing else, where there are none.

    Bytes of an .ipynb, a Jupytext .md or .py are understood, as the name of the file says.
    """
    if submission.data is None:
        raise ValueError(submission.problem or "there is no notebook")
    sources = code_cells(submission.data, submission.file)
    return [Cell(number, source) for number, source in enumerate(sources, 1)]


def collect(
    source: Path, chapter: str | None = None, given: Given = GIVEN_NOTHING
) -> tuple[list[Submission], list[str]]:
    """One submission for each student in a folder or zip, and what the teacher should know.

    A student's files count one for each chapter, as `versions` chooses them, their cells one
    after another; the notes name those passed over. With `chapter` ("02") other chapters'
    files are passed over where a student has that chapter's. Lines of the text that was handed
    out (`given`) are no answer to its open questions.

    Submissions come sorted by name. Raises ValueError, naming SUBMISSIONS, where `source`
    is no folder or zip or holds no student's file; a bad file becomes a `problem` instead.
    """
    source = Path(source)
    with opened(source) as entries:
        by_student, notes = group(entries, source)
        require(bool(by_student), "SUBMISSIONS", str(source), f"notebooks ({', '.join(SUFFIXES)})")
        keys: dict[str, str] = {}
        submissions = []
        for identity, files in sorted(by_student.items()):
            student = min(origin.student for origin, _ in files)
            known_as = min(origin.known_as or origin.student for origin, _ in files)
            key = key_of(known_as, identity)
            while key in keys.values():  # the hash is short; a name can be sought that meets it
                key = key_of(known_as, key)
            keys[identity] = key
            submissions.append(_submission(student, key, files, chapter, given, notes))
    order = [(visible(s.student).casefold(), s.key) for s in submissions]
    return [s for _, s in sorted(zip(order, submissions, strict=True), key=lambda p: p[0])], notes


def _submission(
    student: str, key: str, files: Files, chapter: str | None, given: Given, notes: list[str]
) -> Submission:
    who = visible(student)
    notebooks = [file for file in files if is_notebook(file[1])]
    choice = choose(notebooks, chapter)
    if not choice.is_answer:
        notebooks += _by_content(files)
        choice = choose(notebooks, chapter)
    if not notebooks:
        return _without_notebook(student, key, files)
    where = " + ".join(_shown(version.entry) for version in choice.counts)
    if not choice.counts:
        last = choice.unreadable[-1]
        return _without_data(student, key, _shown(last.entry), last.problem, last.digest)
    said = [f"{_shown(e)} passed over for {where}" for _, e in choice.passed_over]
    said += [f"{_shown(v.entry)} left out, {v.problem}" for v in choice.unreadable]
    notes += [f"{who}: {sentence}" for sentence in said[:MOST_NOTES]]
    if len(said) > MOST_NOTES:
        notes.append(f"{who}: {len(said) - MOST_NOTES} more files passed over or left out")
    sources = [source for version in choice.counts for source in version.cells or []]
    if len(choice.counts) > 1:
        sources = without_stubs(sources)
    if sum(map(len, sources)) > MAX_CODE:
        return _without_data(student, key, where, "too much code in all notebooks")
    data = as_notebook(sources)
    handed_in = _digest("".join(version.digest for version in choice.counts).encode())[:12]
    written = _answers(choice, given)
    return Submission(student, key, where, _digest(data), data, "", handed_in, written)


def _answers(choice: Choice, given: Given) -> dict[str, str]:
    """What a student wrote: in the files that count, else in those passed over for their code."""
    found = []
    for version in [*choice.counts, *choice.others]:
        with suppress(Unreadable, ValueError):  # it has changed since it was looked at
            written = texts(version.entry.read(), version.origin.name, given)
            found.append((written, version.worth))
    return answers(found)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _shown(entry: Entry) -> str:
    return visible("/".join(entry.path))


def _by_content(files: Files) -> Files:
    """Notebooks under another name, such as ada.json or ada.txt."""
    found = []
    others = [file for file in files if not file[1].is_folder and not is_notebook(file[1])]
    for origin, entry in sorted(others, key=_unlike_a_notebook)[:MOST_OTHERS]:
        try:
            if begins_as_notebook(entry.read()):
                found.append((origin, entry))
        except Unreadable:
            continue
    return found


def _unlike_a_notebook(file: tuple[Origin, Entry]) -> tuple[bool, bool]:
    name = file[1].path[-1].lower()
    return "ipynb" not in name, not name.endswith((".json", ".txt")) and "." in name


def _without_notebook(student: str, key: str, files: Files) -> Submission:
    _, entry = _first(files)
    problem = f"no notebook ({', '.join(SUFFIXES)})"
    if entry.problem and len(files) == 1:
        problem = entry.problem
    else:
        packed = (PACKED.search(other.path[-1].lower()) for _, other in files)
        if kind := next(filter(None, packed), None):
            problem += f", but a {kind[1]}, which is not opened: unpack it"
    return _without_data(student, key, _shown(entry), problem, _digest(_bytes(entry)))


def _bytes(entry: Entry) -> bytes:
    """What was handed in where that is no notebook: a teacher may have read it all the same."""
    try:
        return entry.read()
    except Unreadable as error:
        return str(error).encode()


def _first(files: Files) -> tuple[Origin, Entry]:
    """Of a student without a notebook what they handed in, rather than a folder around it."""
    return next((file for file in files if not file[1].is_folder), files[0])


def _without_data(
    student: str, key: str, file: str, problem: str, handed_in: str = ""
) -> Submission:
    return Submission(student, key, file, _digest(problem.encode()), None, problem, handed_in[:12])
