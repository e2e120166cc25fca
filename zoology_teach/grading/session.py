"""One submission against its ladders: the rungs assert here, the student's code runs there."""

import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from zoology_teach.grading.ladder import (
    CallFailed,
    Exercise,
    Outcome,
    climb,
    without_addresses,
)
from zoology_teach.grading.records import Graded, visible
from zoology_teach.grading.sandbox import Limits, Lost, Sandbox, Student
from zoology_teach.grading.submissions import Cell, Submission, cells

MOST_LATE = 2  # calls of one function that may run out of time before it is not called again
OUTPUT_CHARS = 4000


class OutOfTime(BaseException):
    """The submission has used up its seconds; no rung judges that."""


class Session:
    """The cells of one submission and the process that has run them.

    A process that is lost is replaced by one that runs the cells again, except for those that
    hung or ended it. `stopped` says what was stopped first, "" where nothing was.
    """

    def __init__(self, worker: Sandbox, notebook: Sequence[Cell], limits: Limits) -> None:
        self.worker, self.notebook, self.limits = worker, notebook, limits
        self.deadline = time.monotonic() + limits.submission_seconds
        self.errors: dict[int, str] = {}
        self.stopped = ""
        self.output = ""
        self.worker_died = False
        self.late: Counter[str] = Counter()
        self._skipped: set[int] = set()
        self._student: Student | None = None

    def run_cells(self) -> None:
        """Have a process that has run the cells. Raises OutOfTime."""
        while self._student is None:
            asked = time.monotonic()
            self._student = self.worker.begin()
            self.deadline += time.monotonic() - asked  # a worker may have to start first
            for cell in self.notebook:
                if cell.number not in self._skipped and not self._run(cell):
                    break

    def _run(self, cell: Cell) -> bool:
        """Run one cell and record its error; whether the process is still there."""
        try:
            reply = self._ask("cell", cell.number, cell.source, seconds=self.limits.cell_seconds)
        except Lost as lost:
            self._give_up(cell, str(lost))
            return False
        if "late" in reply:
            self._give_up(cell, took_longer(self.limits.cell_seconds))
        elif "raised" in reply:
            kind, message = reply["raised"]
            error = ": ".join(filter(None, (kind[:100], without_addresses(first_line(message)))))
            self.errors.setdefault(cell.number, visible(error))
        return True

    def _give_up(self, cell: Cell, why: str) -> None:
        self._skipped.add(cell.number)
        self.errors[cell.number] = visible(why)
        self.stopped = self.stopped or f"cell {cell.number} {visible(why)}"

    def call(self, name: str, *arguments: Any, **keywords: Any) -> Any:
        """What the student's function `name` returns. Raises CallFailed or OutOfTime."""
        return self._call("call", name, arguments, keywords)

    def trace(self, name: str, *arguments: Any) -> Any:
        """The same, with what the kernels it launched did, as `kernels.trace.traced` tells it."""
        return self._call("trace", name, arguments, {})

    def _call(self, do: str, name: str, arguments: tuple, keywords: dict[str, Any]) -> Any:
        if self.late[name] >= MOST_LATE:
            raise CallFailed(f"not tried: {MOST_LATE} calls of your function had run out of time")
        self.run_cells()
        seconds = self.limits.call_seconds
        try:
            reply = self._ask(do, name, arguments, keywords, seconds=seconds)
        except Lost as lost:
            self.stopped = self.stopped or visible(f"the process of `{name}` {lost}")
            self.late[name] += lost.late
            subject = "your function" if lost.late else "the process that ran your function"
            raise CallFailed(visible(f"{subject} {lost}")) from None
        self.output += reply["output"][:OUTPUT_CHARS]
        if "late" in reply:
            self.late[name] += 1
            self.stopped = self.stopped or f"`{name}` {took_longer(seconds)}"
            raise CallFailed(f"your function {took_longer(seconds)}")
        if "missing" in reply:
            raise CallFailed(f"the function `{name}` is not defined{self._perhaps(name)}")
        if "refused" in reply:
            raise CallFailed(visible(f"your function returned {first_line(reply['refused'])}"))
        if "raised" in reply:
            kind, message = reply["raised"]
            raise CallFailed(visible(str(CallFailed.raised(kind[:100], message))))
        return reply["answer"]

    def _perhaps(self, name: str) -> str:
        """Which failed cell may be why `name` is missing: the one that names it, or the first."""
        failed = [cell for cell in self.notebook if cell.number in self.errors]
        naming = [cell for cell in failed if name in cell.source] or failed
        if not naming:
            return ""
        number = naming[0].number
        return f" (perhaps its cell failed: cell {number}: {self.errors[number]})"

    def _ask(self, *values: Any, seconds: float) -> dict[str, Any]:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise self._out_of_time()
        try:
            assert self._student is not None  # a session begins with one
            reply = self._student.ask(*values, seconds=min(seconds, left))
        except Lost as lost:
            self._student = None
            self.worker_died |= lost.worker
            if lost.late and left < seconds:
                raise self._out_of_time() from None
            raise
        if "late" in reply and left < seconds:
            raise self._out_of_time()
        return reply

    def _out_of_time(self) -> OutOfTime:
        why = f"used up its {self.limits.submission_seconds:g} s"
        self.stopped = self.stopped or f"the submission {why}"
        return OutOfTime(f"no points: the submission had {why}")

    def close(self) -> None:
        """End the process, and with it all that it started."""
        if self._student is not None:
            student, self._student = self._student, None
            with contextlib.suppress(Lost):
                student.end()


def grade_one(
    worker: Sandbox,
    submission: Submission,
    exercises: Sequence[Exercise],
    seed: int,
    limits: Limits | None = None,
) -> Graded:
    """Grade one submission on `exercises`; whatever it holds, there is a `Graded`.

    `seed` is secret: the sandbox sees only inputs drawn from it. `limits` are the worker's
    where none are given. Raises SandboxUnavailable where the sandbox itself is broken.
    """
    row = (submission.student, submission.key, submission.file, submission.digest)
    try:
        notebook = cells(submission)
    except ValueError as problem:
        nothing = {e.id: no_points(e, "there was no notebook to run") for e in exercises}
        output = {e.id: "" for e in exercises}
        return Graded(*row, "unreadable", visible(str(problem)), nothing, output, ())
    for _ in range(2):  # again where the worker died: no submission should be able to kill it
        session = Session(worker, notebook, limits or worker.limits)
        outcomes, output = {}, {}
        with contextlib.closing(session):
            for exercise in exercises:
                session.output = ""
                outcomes[exercise.id] = tuple(try_rungs(session, exercise, seed))
                printed = visible(without_addresses(session.output), keep="\n\t")
                output[exercise.id] = printed[:OUTPUT_CHARS]
        if not session.worker_died:
            break
    status = "stopped" if session.stopped else "ok"
    failed = tuple(sorted(session.errors.items()))
    return Graded(*row, status, session.stopped, outcomes, output, failed)


def try_rungs(session: Session, exercise: Exercise, seed: int) -> list[Outcome]:
    """The outcome of every rung, one after another, whatever an answer does to an assertion."""

    ask = session.trace if exercise.kernel else session.call

    def call(*arguments: Any, **keywords: Any) -> Any:
        return ask(exercise.function, *arguments, **keywords)

    outcomes: list[Outcome] = []
    for rung in exercise.rungs:
        one = replace(exercise, rungs=[rung])
        is_first = all(outcome.earned for outcome in outcomes)
        try:  # only the first lost rung is explained, and a gradebook holds thousands
            outcomes += [o if is_first else replace(o, call="") for o in climb(one, call, seed)]
        except OutOfTime as late:
            outcomes += no_points(one, str(late))
    return outcomes


def no_points(exercise: Exercise, reason: str) -> tuple[Outcome, ...]:
    """No points on any rung."""
    return tuple(Outcome(rung.name, rung.points, 0, reason) for rung in exercise.rungs)


def took_longer(seconds: float) -> str:
    """What a student reads of a cell or a function whose time was up."""
    return f"took longer than {seconds:g} s"


def first_line(text: str) -> str:
    """The first line, of at most 200 characters."""
    return text.split("\n")[0][:200]
