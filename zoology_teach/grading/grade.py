"""A class is graded: a folder or zip of notebooks in; gradebook, feedback and exports out.

OUT holds, beside what the teacher reads, what a later run goes on from: `settings.json`, with
the secret seed, `graded.jsonl`, a line for each finished submission, and `written.jsonl`. A line
is written in one piece; a run that was killed loses the submissions it was busy with and no other.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Lock

from zoology_teach import files, version
from zoology_teach.checks import require, require_int, require_positive
from zoology_teach.grading import sandbox as sandboxes
from zoology_teach.grading.answers import GIVEN_NOTHING, given_lines
from zoology_teach.grading.bubblewrap import SandboxUnavailable
from zoology_teach.grading.chosen import chosen, judgeable
from zoology_teach.grading.comments import read_comments
from zoology_teach.grading.exports import FILES, KINDS, export
from zoology_teach.grading.feedback import write_feedback
from zoology_teach.grading.gradebook import write_gradebook
from zoology_teach.grading.ladder import Exercise
from zoology_teach.grading.manual import odd_marks, read_marks
from zoology_teach.grading.records import Graded
from zoology_teach.grading.sandbox import Limits, Sandbox
from zoology_teach.grading.session import grade_one
from zoology_teach.grading.settings import GRADED, require_own_folder, settle
from zoology_teach.grading.submissions import Submission, collect
from zoology_teach.grading.written import Written

NO_SANDBOX = "--sandbox none runs the students' code unprotected: it could change every mark"


@dataclass(frozen=True)
class Class:
    """A class that was graded: in the order of `collect`, and the notes for the teacher."""

    graded: list[Graded]
    exercises: list[Exercise]
    notes: list[str]
    sandboxed: bool


def grade(
    source: Path,
    out: Path,
    *,
    chapter: str | None = None,
    seed: int | None = None,
    jobs: int | None = None,
    seconds: float | None = None,
    sandbox: str = "auto",
    platform: str | None = None,
    solutions: Path | None = None,
    progress: Callable[[Iterator[Graded], int], Iterator[Graded]] = lambda done, of: done,
) -> Class:
    """Grade what lies in `source` into `out`; what is graded there already is kept.

    chapter    "02": its exercises only; else those of all chapters.
    seed       draws the rungs' inputs. Without one, a secret one is drawn and kept in `out`.
    jobs       submissions at a time; the cores of this machine if not given.
    seconds    that one submission may take, by the clock.
    sandbox    "auto" or "bwrap", or "none": see `Sandbox`.
    platform   "canvas", "moodle" or "gradescope": its export too.
    solutions  where the open questions are found, with their rubrics.
    progress   wraps the finished submissions as they come, and their number.

    Kernels are left out, with a note, where Triton's interpreter does not run. Raises ValueError
    naming the argument that is wrong; OSError where `out` cannot be written.
    """
    exercises, left_out = judgeable(chosen(chapter))
    require(sandbox in sandboxes.KINDS, "sandbox", sandbox, f"one of {sandboxes.KINDS}")
    jobs = (os.cpu_count() or 1) if jobs is None else jobs
    require_int("jobs", jobs, 1)
    if platform is not None:
        require(platform in KINDS, "export", platform, f"one of {sorted(KINDS)}")
    limits = Limits()
    if seconds is not None:
        require_positive("timeout", seconds)
        limits = replace(limits, submission_seconds=seconds, cpu_seconds=2 + int(1.5 * seconds))
    inside = out.resolve().is_relative_to(source.resolve())
    require(not inside, "out", str(out), f"outside of {source}, or it would be graded next time")
    require_own_folder(out)
    given = given_lines(solutions) if solutions else GIVEN_NOTHING
    submissions, notes = collect(source, chapter, given)
    read_marks(out / "manual.csv")  # an error in it is said now, and not when all is graded
    sandboxed = sandbox != "none"
    out.mkdir(parents=True, exist_ok=True)
    with files.sole_writer(out / GRADED):
        seed = settle(out, seed, exercises, sandboxed, limits)
        done = _done(out / GRADED, submissions)
        missing = [s for s in submissions if s.key not in done]
        finished = _run(missing, out / GRADED, exercises, seed, jobs, limits, sandbox)
        done |= {graded.key: graded for graded in progress(finished, len(missing))}
        graded = [_as_handed_in(done[s.key], s) for s in submissions]
        changed = [g.to_json() + "\n" for g in graded if g != done[g.key]]
        files.append(out / GRADED, "".join(changed).encode())
        notes += write_results(out, graded, exercises, solutions, platform, sandboxed=sandboxed)
    return Class(graded, exercises, left_out + notes + _versions(graded), sandboxed)


def write_results(
    out: Path,
    graded: Sequence[Graded],
    exercises: Sequence[Exercise],
    solutions: Path | None,
    platform: str | None = None,
    *,
    sandboxed: bool,
) -> list[str]:
    """Write all files for the teacher, in step with each other; what the teacher should know.

    Only for the `sole_writer` of what was graded.
    """
    written = Written(out)
    marks = write_gradebook(out, graded, exercises, solutions, write=written.write)
    comments = read_comments(out / "manual.csv", graded)
    write_feedback(
        out, graded, exercises, marks, comments, sandboxed=sandboxed, write=written.write
    )
    for kind in KINDS:
        if kind == platform or written.exists(FILES[kind]):
            export(kind, graded, exercises, out, marks, write=written.write)
    for folder in ("feedback", FILES["gradescope"]):
        written.remove_others(folder)
    written.close()
    return [*odd_marks(out / "manual.csv", graded, exercises), *written.notes]


def _as_handed_in(graded: Graded, submission: Submission) -> Graded:
    """The marks of the code, with the names, places and texts of the files as they are today."""
    names = ("student", "file", "handed_in", "answers")
    now = {name: getattr(submission, name) for name in names}
    return replace(graded, **now)


def _versions(graded: Sequence[Graded]) -> list[str]:
    """A sentence where not all were graded by the same code, or by code that no commit has."""
    counts = Counter(g.graded_by for g in graded)
    named = ", ".join(f"{number} by {code}" for code, number in sorted(counts.items()))
    if len(counts) > 1:
        return [f"graded by different code: {named}; for marks of one version grade into a new OUT"]
    if any(".changed." in code for code in counts):
        return [f"graded by code with changes that are in no commit: {named}"]
    return []


def load(out: Path) -> list[Graded]:
    """The class that `grade` has graded into `out`, by key. Raises ValueError for anything else.

    Who has left the class has no page any more and is left out; a run that is not yet through
    for the first time has written no pages, and all that it has graded counts.
    """
    path, pages = out / GRADED, out / "feedback"
    require(path.exists(), "out", str(out), f"a folder that was graded into: it has no {GRADED}")
    records = sorted(_records(path).values(), key=lambda g: g.key)
    return [g for g in records if not pages.is_dir() or (pages / f"{g.key}.html").exists()]


def _records(path: Path) -> dict[str, Graded]:
    """The last line of each key. A last line without its end does not count."""
    whole = path.read_bytes().rpartition(b"\n")[0].decode("utf-8", "replace")
    try:
        lines = [Graded.from_json(line) for line in whole.splitlines()]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return {graded.key: graded for graded in lines}


def _done(path: Path, submissions: Sequence[Submission]) -> dict[str, Graded]:
    """What was graded before, of the files as they are now."""
    files.mend(path)
    digests = {submission.key: submission.digest for submission in submissions}
    before = _records(path) if path.exists() else {}
    return {key: graded for key, graded in before.items() if digests.get(key) == graded.digest}


def _run(
    submissions: Sequence[Submission],
    path: Path,
    exercises: Sequence[Exercise],
    seed: int,
    jobs: int,
    limits: Limits,
    sandbox: str,
) -> Iterator[Graded]:
    """Grade `jobs` submissions at a time; each is on the disk before it is yielded."""
    waiting, lock, enough = iter(submissions), Lock(), Event()
    finished: SimpleQueue[Graded | None] = SimpleQueue()

    def take() -> Submission | None:
        with lock:
            return None if enough.is_set() else next(waiting, None)

    def work(core: int) -> None:
        try:
            with Sandbox(limits, sandbox, core) as worker:
                while (submission := take()) is not None:
                    graded = grade_one(worker, submission, exercises, seed)
                    graded = _as_handed_in(graded, submission)
                    graded = replace(graded, graded_by=version.code())
                    with lock:
                        files.append(path, graded.to_json().encode() + b"\n")
                    finished.put(graded)
        except BaseException:
            enough.set()
            raise
        finally:
            finished.put(None)

    with ThreadPoolExecutor(jobs) as pool:
        workers = [pool.submit(work, core) for core in range(min(jobs, len(submissions)))]
        try:
            for _ in workers:
                yield from iter(finished.get, None)
            for worker in workers:
                worker.result()
        except SandboxUnavailable as error:
            raise ValueError(f"sandbox = {sandbox!r}: {error}. {NO_SANDBOX}") from None
        finally:
            enough.set()
