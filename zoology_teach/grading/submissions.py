"""A folder or zip of notebooks -> one Submission for each student, whatever it holds."""

import hashlib
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from zoology_teach.checks import require
from zoology_teach.grading.archives import Entry, Unreadable, opened
from zoology_teach.grading.notebooks import MAX_CODE, SUFFIXES, as_notebook, code_cells
from zoology_teach.grading.origins import (
    CHAPTER,
    COPY,
    Files,
    Origin,
    group,
    is_notebook,
    key_of,
)
from zoology_teach.grading.records import visible


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
    digest: sha256 of the bytes, or of the problem where they cannot be read.
    data: a notebook of the code cells alone, None where none can be read.
    problem: why none can be read, "" where one can.
    """

    student: str
    key: str
    file: str
    digest: str
    data: bytes | None
    problem: str = ""


def cells(submission: Submission) -> list[Cell]:
    """The code cells in order. Raises ValueError, and nothing else, where there are none.

    Bytes of an .ipynb, a Jupytext .md or .py are understood, as the name of the file says.
    """
    if submission.data is None:
        raise ValueError(submission.problem or "there is no notebook")
    sources = code_cells(submission.data, submission.file)
    return [Cell(number, source) for number, source in enumerate(sources, 1)]


def collect(source: Path, chapter: str | None = None) -> tuple[list[Submission], list[str]]:
    """One submission for each student in a folder or zip, and what the teacher should know.

    A student's files that are numbered by chapter (02_write_the_task.ipynb) count one for each
    chapter, their cells one after another; where none is numbered, one file counts, a notebook
    before a text. Of several the latest one counts: the highest number that Canvas gave, else
    the last changed, else the last by name; the notes name those passed over. With `chapter`
    ("02") other chapters' files are passed over where a student has that chapter's.

    Submissions come sorted by name. Raises ValueError, naming SUBMISSIONS, where `source`
    is no folder or zip or holds no student's file; a bad file becomes a `problem` instead.
    """
    with opened(Path(source)) as entries:
        by_student, notes = group(entries)
        require(bool(by_student), "SUBMISSIONS", str(source), f"notebooks ({', '.join(SUFFIXES)})")
        keys: dict[str, str] = {}
        submissions = []
        for identity, files in sorted(by_student.items()):
            student = min(origin.student for origin, _ in files)
            key = key_of(student, identity)
            while key in keys.values():  # the hash is short; a name can be sought that meets it
                key = key_of(student, key)
            keys[identity] = key
            submissions.append(_submission(student, key, files, chapter, notes))
    order = [(visible(s.student).casefold(), s.key) for s in submissions]
    return [s for _, s in sorted(zip(order, submissions, strict=True), key=lambda p: p[0])], notes


def _latest(file: tuple[Origin, Entry]) -> tuple:
    origin, entry = file
    copy = COPY.search(origin.name) if origin.platform == "canvas" else None
    digits = [(len(d.lstrip("0")), d) for d in re.findall(r"\d+", origin.name)]  # 10 after 9
    return origin.attempt, int(copy[1]) if copy else 0, entry.time, digits, entry.path


def _chosen(files: Files, chapter: str | None) -> Files:
    """The files that count, in order of their chapters."""
    numbered: dict[str, Files] = defaultdict(list)
    for file in files:
        if match := CHAPTER.match(file[0].name):
            numbered[match[1]].append(file)
    if chapter in numbered:
        numbered = {chapter: numbered[chapter]}
    if numbered:
        return [sorted(numbered[number], key=_latest)[-1] for number in sorted(numbered)]
    notebooks = [f for f in files if f[0].name.lower().endswith(".ipynb")]
    return sorted(notebooks or files, key=_latest)[-1:]  # of equals the last one, as stored


def _submission(
    student: str, key: str, files: Files, chapter: str | None, notes: list[str]
) -> Submission:
    def shown(file: tuple[Origin, Entry]) -> str:
        return visible("/".join(file[1].path))

    notebooks = [file for file in files if not file[1].is_folder and is_notebook(file[0].name)]
    if not notebooks:
        others = [f for f in files if not f[1].is_folder] or files
        problem = f"no notebook ({', '.join(SUFFIXES)})"
        return _without_data(student, key, shown(others[0]), problem)
    chosen = _chosen(notebooks, chapter)
    sources: list[str] = []
    read, problems = [], []
    for file in chosen:
        try:
            sources += code_cells(file[1].read(), file[0].name)
            read.append(file)
        except (Unreadable, ValueError) as error:
            problems.append((file, str(error)))
    for file in notebooks:
        if file not in chosen:
            where = " + ".join(map(shown, chosen))
            notes.append(f"{visible(student)}: {shown(file)} passed over for {where}")
    if not read:
        return _without_data(student, key, shown(chosen[0]), problems[0][1])
    notes += [f"{visible(student)}: {shown(file)} left out, {p}" for file, p in problems]
    if sum(map(len, sources)) > MAX_CODE:
        return _without_data(student, key, shown(read[0]), "too much code in all notebooks")
    data = as_notebook(sources)
    where = " + ".join(map(shown, read))
    return Submission(student, key, where, hashlib.sha256(data).hexdigest(), data)


def _without_data(student: str, key: str, file: str, problem: str) -> Submission:
    digest = hashlib.sha256(problem.encode()).hexdigest()
    return Submission(student, key, file, digest, None, problem)
