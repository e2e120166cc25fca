"""All that is known of one submission after grading, and its line of JSON."""

import json
import unicodedata
from dataclasses import asdict, dataclass, field

from zoology_teach.checks import require
from zoology_teach.grading.ladder import Outcome

STATUSES = ("ok", "stopped", "unreadable")
NAMED_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


@dataclass(frozen=True)
class Graded:
    """One submission, graded.

    student, key, file, digest, handed_in, answers: as in `submissions.Submission`.
    status: "ok"; "stopped" where the worker died or ran out of time or memory (what was
    earned before counts); "unreadable" where there was no notebook to run.
    detail: one sentence for the teacher, "" for "ok".
    exercises: by id, every exercise asked for, the outcome of every rung in order.
    output: by exercise id, what the student's code printed while its rungs were tried.
    cells: number (from 1) and error, in one line, of each code cell that failed.
    graded_by: the code that graded it, as `version.code` names it.
    """

    student: str
    key: str
    file: str
    digest: str
    status: str
    detail: str
    exercises: dict[str, tuple[Outcome, ...]]
    output: dict[str, str]
    cells: tuple[tuple[int, str], ...]
    handed_in: str = ""
    graded_by: str = ""
    answers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(self.status in STATUSES, "status", self.status, f"one of {STATUSES}")

    def earned(self, exercise_id: str) -> int:
        """Points earned on one exercise."""
        return sum(outcome.earned for outcome in self.exercises.get(exercise_id, ()))

    def to_json(self) -> str:
        """One line of ASCII, the same for the same values; any characters in names survive."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, line: str) -> "Graded":
        """The inverse of `to_json`. Raises ValueError for anything else, a cut line included."""
        try:
            values = json.loads(line)
            values["exercises"] = {
                id: tuple(Outcome(**outcome) for outcome in outcomes)
                for id, outcomes in values["exercises"].items()
            }
            values["cells"] = tuple((number, error) for number, error in values["cells"])
            return cls(**values)
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise ValueError(f"line = {line[:80]!r}: must be a Graded as JSON ({error})") from None


def visible(text: str, keep: str = "") -> str:
    r"""`text` with what cannot be seen written as an escape, such as \n or \u202e.

    Control and format characters (bidirectional ones among them), line separators and lone
    surrogates, except for those in `keep`. What remains can be encoded and printed.
    """
    return "".join(c if c in keep or c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    if unicodedata.category(character) == "Zs":  # a space other than " ": seen, if only as a gap
        return " "
    code = ord(character)
    return NAMED_ESCAPES.get(character) or (f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}")
