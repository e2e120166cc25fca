"""The comments that a teacher writes beside marks in manual.csv, for the student to read."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from zoology_teach.grading.manual import read_rows
from zoology_teach.grading.records import Graded

Comments = dict[tuple[str, str], str]  # comment by key of the student and id of the question


def read_comments(path: Path, graded: Iterable[Graded] = ()) -> Comments:
    """(key, question) -> comment, of the rows of manual.csv that have one; {} without a file."""
    comments: Comments = {}
    _, rows = read_rows(path, graded)
    for row in rows:
        if row["comment"]:
            comments.setdefault((row["key"], row["question"]), row["comment"])
    return comments


def often(comments: Comments, question: str, most: int) -> list[str]:
    """The comments given to a question, those given most often first."""
    counts = Counter(text for (_, of), text in comments.items() if of == question)
    return [text for text, _ in sorted(counts.items(), key=lambda c: (-c[1], c[0]))[:most]]
