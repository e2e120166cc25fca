"""Entries of a folder or zip -> the files of each student.

Here it is decided which folders lie around all submissions, which platform named the files,
and which files in a copy of the course are the student's own.
"""

import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path, PurePosixPath

from zoology_teach.grading import archives, gradescope, origins
from zoology_teach.grading.archives import Entry
from zoology_teach.grading.origins import COPY, Origin, canvas
from zoology_teach.grading.records import visible

CHAPTER = re.compile(r"\s*(\d\d)(?!\d)")
README = re.compile(r"readme\b", re.IGNORECASE)
# A teacher's lists and what systems leave behind: nobody hands these in.
NO_SUBMISSION = {".csv", ".xlsx", ".xls", ".ods", ".yml", ".yaml", ".ini", ".db", ".log", ".lnk"}
COURSE = {"book", "exercises", "solutions", "tests", "zoology_teach"}
RENAME = 'if the folder "solutions" is their own work, give it another name'
Files = list[tuple[Origin, Entry]]


def group(entries: list[Entry], source: Path) -> tuple[dict[str, Files], list[str]]:
    """Entries of a folder or zip by the identity of the student who handed them in, and notes on
    the others.
    """
    depth, notes = _wrapping(entries, source)
    around = [entry for entry in entries if len(entry.path) <= depth and _is_list(entry)]
    notes += [f"passed over, no notebook: {visible('/'.join(entry.path))}" for entry in around]
    entries = [entry for entry in entries if len(entry.path) > depth]
    from_canvas = _is_canvas([entry.path[depth] for entry in entries if not entry.is_folder])
    submitters = gradescope.submitters(entries, depth)
    by_student: dict[str, Files] = defaultdict(list)
    for entry in entries:
        path = entry.path[depth:]
        whose = submitters.get(path[0]) or [_origin(path, entry.is_folder, from_canvas)]
        alone = len(path) == 1 and not entry.is_folder and not whose[0].platform
        if alone and _is_no_submission(path[0]):
            if path[0] != gradescope.METADATA:
                notes.append(f"passed over, no notebook: {visible('/'.join(entry.path))}")
            continue
        for origin in whose:
            named = replace(origin, name=path[-1]) if len(path) > 1 else origin
            by_student[origin.identity].append((named, entry))
    told_apart = _numbered(_apart(by_student))
    for files in told_apart.values():
        if inside := [e for _, e in files if is_notebook(e) and _in_solutions(e, depth)]:
            student = visible(min(origin.student for origin, _ in files))
            notes.append(f"{student}: {_counted(inside)} left out, as the course's: {RENAME}")
    own = {who: own_files(files, depth) for who, files in told_apart.items()}
    return own, notes


def _origin(path: tuple[str, ...], is_folder: bool, from_canvas: bool) -> Origin:
    origin = origins.moodle(path[0])
    if not origin and len(path) == 1 and not is_folder:
        origin = (canvas(path[0]) if from_canvas else None) or origins.blackboard(path[0])
    return origin or origins.plain(path, is_folder)


def _apart(by_student: dict[str, Files]) -> dict[str, Files]:
    """Where one number stands with several names, each name is a student and none has it."""
    apart: dict[str, Files] = defaultdict(list)
    for identity, files in by_student.items():
        names = {origin.student for origin, _ in files}
        for origin, entry in files:
            who = identity if len(names) == 1 else f"{identity}:{origin.student}"
            apart[who].append((origin, entry))
    return apart


def _numbered(by_student: dict[str, Files]) -> dict[str, Files]:
    """A name that Moodle gives to several, as "Participant" in its language to all in blind
    marking, is shown with the number."""
    ids = defaultdict(set)
    for files in by_student.values():
        for origin, _ in files:
            if origin.platform == "moodle":
                ids[origin.student].add(origin.id)
    return {
        who: [
            (replace(o, student=f"{o.student} {o.id}") if len(ids[o.student]) > 1 else o, entry)
            for o, entry in files
        ]
        for who, files in by_student.items()
    }


def _wrapping(entries: list[Entry], source: Path) -> tuple[int, list[str]]:
    """How many folders lie around all the others, as in a zip of one folder of submissions.

    A zip named after the one folder in it, which holds but folders, is that folder packed. In
    other zips too one folder around all is usual; in a folder it is a student.
    """
    unpacked, depth = source.is_dir(), 0
    packed = {entry.path[0] for entry in entries} == {source.stem} and not unpacked
    if packed and all(e.is_folder for e in entries if len(e.path) < 3) and len(entries) > 1:
        unpacked, depth = True, 1
    while True:
        inner = [entry for entry in entries if len(entry.path) > depth + 1]
        tops = {entry.path[depth] for entry in entries if len(entry.path) > depth}
        lists = {e.path[depth] for e in entries if len(e.path) == depth + 1 and _is_list(e)}
        if gradescope.METADATA in lists or len(tops - lists) != 1 or not inner:
            return depth, []
        tops -= lists
        if origins.moodle(next(iter(tops))):
            return depth, []
        unpacked = unpacked and not lists  # beside a student's folder a teacher has no lists
        names = {entry.path[depth + 1] for entry in inner}
        if not any(map(_by_platform, names)) and not _is_canvas(list(names)):
            flat = [e.path[-1] for e in inner if len(e.path) == depth + 2 and is_notebook(e)]
            deep = {e.path[depth + 1] for e in inner if len(e.path) > depth + 2 and is_notebook(e)}
            one = len(names) < 2 or any(map(CHAPTER.match, names)) or len(names & COURSE) > 1
            top = visible(next(iter(tops)))
            said = [f"{top}: taken for one student; if it is a class, give this folder"]
            if one or len(deep) + len(flat) < 2:
                return depth, said if _may_be_a_class(inner) else []
            if flat if unpacked else _versions(flat, deep):
                return depth, said
        depth += 1


def _may_be_a_class(entries: list[Entry]) -> bool:
    """Whether a folder further down holds several files that are no versions of one."""
    names = defaultdict(list)
    for entry in entries:
        if is_notebook(entry) and not COURSE & set(entry.path[:-1]):
            names[entry.path[:-1]].append(entry.path[-1])
    return any(
        len(there) > 1 and not any(map(CHAPTER.match, there)) and not _versions(there, set())
        for there in names.values()
    )


def _by_platform(name: str) -> bool:
    return bool(origins.moodle(name) or origins.blackboard(name)) or name == gradescope.METADATA


def _versions(flat: list[str], deep: set[str]) -> bool:
    """Whether names are those of one file and its copies: hw.ipynb, hw_old.ipynb. Anna is no
    copy of Ann.
    """
    stems = {re.sub(r"[\d\s()-]+$", "", origins.stem(name)) for name in flat}
    first, *others = sorted(stems, key=len) or [""]
    rests = [stem.removeprefix(first) for stem in others if stem.startswith(first)]
    copies = len(rests) == len(others) and not any(rest[0].isalpha() for rest in rests)
    return not deep and bool(first) and copies


def _is_canvas(names: list[str]) -> bool:
    """Whether names that look like Canvas's are: its files have numbers of their own, but for a
    few that somebody saved twice."""
    found = [origin for name in names if (origin := canvas(name))]
    numbered = {(o.attempt, COPY.sub("", o.name)) for o in found if o.attempt}
    distinct = {attempt for attempt, _ in numbered}
    return bool(found) and (2 * len(distinct) > len(numbered) or not numbered)


def _is_list(entry: Entry) -> bool:
    return not entry.is_folder and _is_no_submission(entry.path[-1])


def _is_no_submission(name: str) -> bool:
    return bool(README.match(name)) or PurePosixPath(name.lower()).suffix in NO_SUBMISSION


def is_notebook(entry: Entry) -> bool:
    """Whether an entry is, by its name, a notebook that a student may have handed in."""
    name = entry.path[-1]
    return not entry.is_folder and archives.is_notebook(name) and not README.match(name)


def own_files(files: Files, depth: int) -> Files:
    """Without what came with a copy of the course: of a clone, the exercises are the student's,
    and a folder solutions/ in that of a student, which lies below `depth`, is the course's.
    """
    inside = defaultdict(set)
    for _, entry in files:
        folders = entry.path if entry.is_folder else entry.path[:-1]
        for n, name in enumerate(folders[: archives.MAX_DEPTH]):
            inside[folders[:n]].add(name)
    clones = {
        at
        for at, names in inside.items()
        if len(names & COURSE) > 1 and names & {"book", "zoology_teach"}
    }
    own = [
        (origin, entry)
        for origin, entry in files
        if not _of_the_course(entry, clones) and not _in_solutions(entry, depth)
    ]
    if len(own) < len(files) and all(entry.is_folder for _, entry in own):
        origin, first = files[0]
        return [(origin, Entry(first.path, (0,), problem="nothing but the course's own files"))]
    return own


def _in_solutions(entry: Entry, depth: int) -> bool:
    """Whether a file lies in a folder solutions/ inside of a student's, which is at `depth`."""
    return "solutions" in entry.path[depth + 1 : -1]


def _counted(entries: list[Entry]) -> str:
    more = f" and {len(entries) - 1} more" if len(entries) > 1 else ""
    return visible("/".join(entries[0].path)) + more


def _of_the_course(entry: Entry, clones: set[tuple[str, ...]]) -> bool:
    """Whether a file is a clone's: all but the exercises, and notebooks outside its folders."""
    for n in range(min(len(entry.path), archives.MAX_DEPTH)):
        if entry.path[:n] in clones and entry.path[n] != "exercises":
            in_its_folders = len(entry.path) > n + 1 and entry.path[n] in COURSE
            return in_its_folders or not entry.path[-1].lower().endswith(".ipynb")
    return False
