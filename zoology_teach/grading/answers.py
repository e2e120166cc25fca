"""What a student wrote to the open questions, read as data from a notebook's cells.

An answer is all that stands below the question's heading, up to the heading of another exercise:
text, code and what it printed, without the lines that were handed out. Where nothing stands
there, in none of a student's files, it is the student's own text in the rest of the file.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from zoology_teach.grading.ladders import EXERCISES
from zoology_teach.grading.manual import open_questions
from zoology_teach.grading.notebooks import decoded, is_json, joined, json_cells, source_of

Given = frozenset[str]  # lines that were handed out
Texts = dict[str, str]  # by open question what stands below its heading; "": the other text
# Of `release --nbgrader`, of nbgrader, between two cells of MyST.
PLACEHOLDERS = ("Your answer.", "YOUR ANSWER HERE", "+++")
GIVEN_NOTHING: Given = frozenset(PLACEHOLDERS)
ELSEWHERE = "[Nothing stands below the heading of {}. The student's own text in the file:]"
PICTURE = "[a picture: see the notebook]"
HEADING = re.compile(r"^#{1,6}[ \t]+(?P<id>\d\d\.[a-z])(?![\w.])(?P<title>.*)$")
FENCE = re.compile(r"^ {0,3}(```|~~~)")


@dataclass(frozen=True)
class Part:
    """Neighbouring lines of one kind, and what code printed."""

    is_text: bool
    lines: list[str]
    printed: str = ""


def given_lines(solutions: Path) -> Given:
    """All lines of text in the solution files, and of code below an open question."""
    questions, found = open_questions(EXERCISES.values()), set(PLACEHOLDERS)
    for source in sorted(solutions.glob("[0-9][0-9]_*.md")):
        question = ""
        for part in _from_markdown(source.read_text(encoding="utf-8").split("\n")):
            for line in part.lines:
                begins = _begins(line, questions) if part.is_text else None
                question = question if begins is None else begins
                if part.is_text or question:
                    found.add(line.strip())
    return frozenset(found - {""})


def answers(notebooks: Sequence[tuple[Texts, Collection[str]]]) -> dict[str, str]:
    """Open question -> its answer, of a student's notebooks, those that count first.

    Each comes as its `texts` and the chapters that it belongs to, "" for none in particular:
    such a file answers to any question, if it names none.
    """
    found = {}
    for question in open_questions(EXERCISES.values()):
        below = [texts[question] for texts, _ in notebooks if question in texts]
        beside = [
            texts[""]
            for texts, chapters in notebooks
            if "" in texts and (question[:2] in chapters or ("" in chapters and len(texts) == 1))
        ]
        if below:
            found[question] = below[0]
        elif beside:
            found[question] = f"{ELSEWHERE.format(question)}\n\n{beside[0]}"
    return found


def texts(data: bytes, name: str, given: Given) -> Texts:
    """Of a notebook that `code_cells` can read: what stands below each open question."""
    questions = open_questions(EXERCISES.values())
    below: dict[str, list[str]] = {question: [] for question in ("", *questions)}
    question = ""
    for part in _parts(data, name):
        if not part.is_text:
            below[question] += _code(part, given) if question else []
            continue
        for line in part.lines:
            begins = _begins(line, questions) if line.startswith("#") else None
            if begins is not None and begins != question:
                question = begins
            elif line.strip() not in given:
                below[question].append(line)
    joined_up = {question: "\n".join(lines).strip() for question, lines in below.items()}
    return {question: text for question, text in joined_up.items() if text}


def _begins(line: str, questions: Collection[str]) -> str | None:
    """Whose part begins with this line: an open question's, "" for an exercise's, or None.

    A heading of the student's own, such as "02.a again", begins nothing.
    """
    heading = HEADING.match(line)
    if heading is None:
        return None
    if heading["id"] in questions:
        return heading["id"]
    exercise = EXERCISES.get(heading["id"])
    is_given = exercise is not None and heading["title"].strip(" \t#") == exercise.title
    return "" if is_given else None


def _code(part: Part, given: Given) -> list[str]:
    lines = [line for line in part.lines if line.strip() not in given]
    code = ["```", *lines, "```"] if any(map(str.strip, lines)) else []
    return code + (["printed:", *part.printed.split("\n"), ""] if part.printed else [])


def _parts(data: bytes, name: str) -> Iterator[Part]:
    text = decoded(data)
    if is_json(text, name) or not name.lower().endswith((".md", ".py")):
        return map(_from_cell, json_cells(text))
    lines = text.split("\n")
    return _from_markdown(lines) if name.lower().endswith(".md") else _from_script(lines)


def _from_cell(cell: dict) -> Part:
    lines = source_of(cell).split("\n")
    if cell.get("cell_type") == "code":
        return Part(False, lines, _printed(cell.get("outputs")))
    if cell.get("cell_type") == "heading":  # of format 3
        lines[0] = f"# {lines[0]}"
    return Part(True, [*lines, *([PICTURE] if cell.get("attachments") else []), ""])


def _printed(outputs: object) -> str:
    """The text of a cell's outputs."""
    found = []
    for output in outputs if isinstance(outputs, list) else []:
        if isinstance(output, dict):
            shown = output.get("data")
            kinds = shown if isinstance(shown, dict) else {}
            is_picture = any(str(kind).startswith("image/") for kind in kinds)
            text = joined(output.get("text", kinds.get("text/plain")))
            found.append(PICTURE if is_picture else text.rstrip("\n"))
    return "\n".join(filter(None, found))


def _from_markdown(lines: list[str]) -> Iterator[Part]:
    """Text, and code between fences; the fences themselves are left out."""
    fence = ""
    kinds: list[bool | None] = []
    for line in lines:
        match = FENCE.match(line)
        if match and fence in ("", match[1]):
            fence = "" if fence else match[1]
            kinds.append(None)
        else:
            kinds.append(not fence)
    for kind, group in groupby(zip(kinds, lines, strict=True), key=lambda pair: pair[0]):
        if kind is not None:
            yield Part(kind, [line for _, line in group])


def _from_script(lines: list[str]) -> Iterator[Part]:
    """Comments are text, but for the marks of cells."""
    for is_text, group in groupby(lines, key=lambda line: line.startswith("#")):
        lines_of_it = [re.sub("^# ?", "", line) if is_text else line for line in group]
        yield Part(is_text, [t for t in lines_of_it if not (is_text and t.startswith("%%"))])
