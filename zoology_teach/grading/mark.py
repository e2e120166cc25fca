"""`zoology-teach mark OUT`: the open answers of a graded class are marked, or marks are merged."""

from collections.abc import Callable
from pathlib import Path

from zoology_teach import files
from zoology_teach.grading.marking import Marking
from zoology_teach.grading.marking_server import Server
from zoology_teach.grading.settings import GRADED, graded_with


def mark(
    out: Path,
    solutions: Path | None = None,
    *,
    merge: tuple[Path, ...] = (),
    say: Callable[[str], None] = print,
) -> bool:
    """Serve the pages on which a class's open answers are marked, until it is interrupted.

    With `merge` it takes over the marks in these files instead. What there is to say goes to
    `say`, a line at a time. Returns whether no two markers disagree. Raises ValueError where
    `out` is no graded class or manual.csv holds what is no mark; OSError where somebody grades
    into it or marks it.
    """
    graded_with(out)  # before there is a lock in what is no folder of ours
    with files.sole_writer(out / GRADED):
        marking = Marking(out, solutions)
        conflicts: list[str] = []
        if merge:
            taken, conflicts = marking.merge(merge)
            say(f"{taken} marks taken over")
        else:
            with Server(marking) as server:
                say(f"mark at {server.address}")
                say("end with Ctrl-C; every mark is stored when you give it")
                server.serve_until_interrupted()
        for note in dict.fromkeys([*conflicts, *marking.notes, *marking.end()]):
            say(f"note: {note}")
    return not conflicts
