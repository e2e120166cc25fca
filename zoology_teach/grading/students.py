"""Entries of a folder or zip -> the files of each student.

Here it is decided which folders lie around all submissions, which platform named the files,
and which files in a copy of the course are the student's own.
"""

import re
import unicodedata
from collections import defaultdict
from dataclasses import replace
from pathlib import Path, PurePosixPath

import yaml

from zoology_teach.grading import archives, origins
from zoology_teach.grading.archives import Entry, Unreadable
from zoology_teach.grading.origins import COPY, Origin, canvas
from zoology_teach.grading.records import visible

CHAPTER = re.compile(r"\s*(\d\d)(?!\d)")
README = re.compile(r"readme\b", re.IGNORECASE)
# A teacher's lists and what systems leave behind: nobody hands these in.
NO_SUBMISSION = {".csv", ".xlsx", ".xls", ".ods", ".yml", ".yaml", ".ini", ".db", ".log", ".lnk"}
COURSE = {"book", "exercises", "solutions", "tests", "zoology_teach"}
METADATA = "submission_metadata.yml"  # of Gradescope
SUBMITTERS = re.compile(
    r"^(submission_\d+):[^\n]*\n(?: [^\n]*\n)*?  :?submitters:[ \t]*\n((?:  [- ] [^\n]*\n)+)",
    re.MULTILINE,
)

Files = list[tuple[Origin, Entry]]


def group(entries: list[Entry], source: Path) -> tuple[dict[str, Files], list[str]]:
    """Entries of a folder or zip by the identity of the student who handed them in, and notes on
    the others.
    """
    depth, notes = _wrapping(entries, source)
    entries = [entry for entry in entries if len(entry.path) > depth]
    from_canvas = _is_canvas([entry.path[depth] for entry in entries if not entry.is_folder])
    submitters = _submitters(entries, depth)
    by_student: dict[str, Files] = defaultdict(list)
    for entry in entries:
        path = entry.path[depth:]
        whose = submitters.get(path[0]) or [_origin(path, entry.is_folder, from_canvas)]
        alone = len(path) == 1 and not entry.is_folder and not whose[0].platform
        if alone and _is_no_submission(path[0]):
            if path[0] != METADATA:
                notes.append(f"passed over, no notebook: {visible('/'.join(entry.path))}")
            continue
        for origin in whose:
            named = replace(origin, name=path[-1]) if len(path) > 1 else origin
            by_student[origin.identity].append((named, entry))
    told_apart = _numbered(_apart(by_student))
    own = {who: own_files(files) for who, files in told_apart.items()}
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
        if len(tops) != 1 or not inner or origins.moodle(next(iter(tops))):
            return depth, []
        names = {entry.path[depth + 1] for entry in inner}
        if not any(map(_by_platform, names)) and not _is_canvas(list(names)):
            flat = [e.path[-1] for e in inner if len(e.path) == depth + 2 and is_notebook(e)]
            deep = {e.path[depth + 1] for e in inner if len(e.path) > depth + 2 and is_notebook(e)}
            one = len(names) < 2 or any(map(CHAPTER.match, names)) or len(names & COURSE) > 1
            if one or len(deep) + len(flat) < 2:
                return depth, []
            if flat if unpacked else _versions(flat, deep):
                top = visible(next(iter(tops)))
                return depth, [f"{top}: taken for one student; if it is a class, give this folder"]
        depth += 1


def _by_platform(name: str) -> bool:
    return bool(origins.moodle(name) or origins.blackboard(name)) or name == METADATA


def _versions(flat: list[str], deep: set[str]) -> bool:
    """Whether names are those of one file and its copies: hw.ipynb, hw_old.ipynb. Anna is no
    copy of Ann.
    """
    first, *others = sorted({origins.stem(name) for name in flat}, key=len) or [""]
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


def _is_no_submission(name: str) -> bool:
    return bool(README.match(name)) or PurePosixPath(name.lower()).suffix in NO_SUBMISSION


def is_notebook(entry: Entry) -> bool:
    """Whether an entry is, by its name, a notebook that a student may have handed in."""
    name = entry.path[-1]
    return not entry.is_folder and archives.is_notebook(name) and not README.match(name)


def _submitters(entries: list[Entry], depth: int) -> dict[str, list[Origin]]:
    """Who handed in each folder of a Gradescope export; a group is several students."""
    listed = [e for e in entries if len(e.path) == depth + 1 and e.path[-1] == METADATA]
    if not listed:
        return {}
    try:
        text = listed[0].read().decode("utf-8", "replace").replace("\r\n", "\n") + "\n"
        loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # all values stay texts
        blocks = {name: yaml.load(block, loader) for name, block in SUBMITTERS.findall(text)}
    except (Unreadable, yaml.YAMLError):
        return {}
    found = {name: list(map(_submitter, people)) for name, people in blocks.items()}
    return {name: [origin for origin in people if origin] for name, people in found.items()}


def _submitter(person: object) -> Origin | None:
    if not isinstance(person, dict):
        return None
    values = {str(k).strip(":"): str(v).strip() for k, v in person.items()}
    name = unicodedata.normalize("NFC", values.get("name", ""))
    id = values.get("email") or values.get("sid") or name
    return Origin("gradescope", name or id, id) if id else None


def own_files(files: Files) -> Files:
    """Without what came with a copy of the course: of a clone, the exercises are the student's."""
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
    own = [file for file in files if not _of_the_course(file[1], clones)]
    if clones and all(entry.is_folder for _, entry in own):
        origin, first = files[0]
        return [(origin, Entry(first.path, (0,), problem="nothing but the course's own files"))]
    return own


def _of_the_course(entry: Entry, clones: set[tuple[str, ...]]) -> bool:
    """Whether a file is a clone's: all but the exercises, and notebooks outside its folders."""
    for n in range(min(len(entry.path), archives.MAX_DEPTH)):
        if entry.path[:n] in clones and entry.path[n] != "exercises":
            in_its_folders = len(entry.path) > n + 1 and entry.path[n] in COURSE
            return in_its_folders or not entry.path[-1].lower().endswith(".ipynb")
    return False
