"""Where the numbers of a chapter's prose come from: tables, the paper, and what its cells print."""

import ast
import importlib
import re
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from zoology_teach import plots
from zoology_teach.experiments import results, text_runs
from zoology_teach.experiments.lesson import LessonRun
from zoology_teach.experiments.longer import LongerRun

NUMBER = re.compile(r"(?<![\w.,/:^-])(\d{1,3}(?:,\d{3})+|\d*\.\d+|\d+)(\s?%)?(?![\w/:]|\.\d)")
NO_NUMBERS = re.compile(
    r"<details>.*?</details>|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|\]\([^)]*\)|https?://\S+|\d+ minutes"
    r"|\*\*CPU\*\* \d+ s|\*\*\d\d\.[a-d]|arXiv:?\s?\S+|\[?arXiv|\b(19|20)\d\d\b(?! token)"
    r"|(section|theorem|proposition|definition|claim|figure|table|chapter|step|guess|exercise"
    r"|layer|prediction)s? [\d.]+((,| to| and)+ [\d.]+)*",
    re.DOTALL | re.IGNORECASE,
)


class Sources:
    """Where numbers come from: the tables of `folder`, and what a notebook prints."""

    def __init__(self, folder: Path, notebook):
        self.folder, self.sections = folder, sections(notebook)

    @cached_property
    def papers(self) -> pd.Series:
        """The values of `paper.csv`, by id."""
        return pd.read_csv(self.folder / "paper.csv").set_index("id")["value"]

    def paper(self, id: str) -> float:
        """A value of `paper.csv`."""
        return float(self.papers[id])

    def table(self, name: str) -> pd.DataFrame:
        """A table of `book/results`."""
        of_text = ("text", "text_rates", "text_longer", "text_gpu_shipped")
        own_columns = dict.fromkeys(of_text, text_runs.COLUMNS)
        own_columns |= dict.fromkeys(("lesson", "newer_animals_lesson"), LessonRun.columns)
        own_columns["longer"] = LongerRun.columns
        columns = [own_columns[name]] if name in own_columns else []
        own = name in ("cost", "text_documents", "text_continued")
        path = self.folder / f"{name}.csv"
        return pd.read_csv(path) if own else results.load(path, *columns)

    def cells(self, name: str = "figure2") -> pd.DataFrame:
        """Mean, lowest and highest accuracy of a table, by mixer, width and length."""
        return plots.spread(self.table(name)).set_index(["mixer", "d_model", "seq_len"])

    def out(self, pattern: str) -> list[float]:
        """The numbers at the `#` of the first printed line that fits."""
        printed = " ".join(s["out"] for s in self.sections)
        match = fragment(pattern).search(printed)
        assert match, f"no cell prints {pattern!r}"
        return [as_number(g) for g in match.groups()]


def fragment(text: str) -> re.Pattern:
    """Words that may be broken into lines anywhere, with a number at each `#`."""
    escaped = re.escape(text).replace(r"\#", r"(-?(?:\d[\d,]*(?:\.\d+)?|\.\d+))")
    return re.compile(re.sub(r"(\\ )+", r"\\s+", escaped))


def as_number(digits: str) -> float:
    return float(digits.replace(",", ""))


def decimals(digits: str) -> int:
    return len(digits.partition(".")[2])


def sections(notebook) -> list[dict[str, str]]:
    """A chapter's head and sections: prose and words of pictures, code, what cells print."""
    found = [{"title": "head", "prose": "", "code": "", "out": ""}]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            found[-1]["code"] += cell.source + "\n"
            for output in cell.outputs:
                data = output.get("data", {})
                html = re.sub(r"<[^>]+>", " ", data.get("text/html", ""))
                alt = output.get("metadata", {}).get("image/png", {}).get("alt", "")
                plain = "" if alt else data.get("text/plain", "")
                found[-1]["out"] += f"{output.get('text', '')} {plain} {html}\n"
                found[-1]["prose"] += f"{alt}\n\n" if is_written(alt, cell.source) else ""
            continue
        for part in re.split(r"^(?=## )", cell.source, flags=re.MULTILINE):
            if part.startswith("## "):
                title = part.splitlines()[0].removeprefix("## ")
                found.append({"title": title, "prose": "", "code": "", "out": ""})
            found[-1]["prose"] += part + "\n\n"
    return [s for s in found if s["title"] != "Further reading"]


def is_written(alt: str, source: str) -> bool:
    """Whether a picture's words stand in its cell, and are not computed there."""
    return any(isinstance(n, ast.Constant) and n.value == alt for n in ast.walk(ast.parse(source)))


def declared(chapter: Path):
    """The function `claims(sources)` of a chapter; of one that declares nothing, no claims."""
    if not (Path(__file__).parent / f"ch{chapter.stem[:2]}.py").exists():
        return lambda sources: []
    return importlib.import_module(f"tests.prose.ch{chapter.stem[:2]}").claims


def broken(claims: list[tuple], chapter_sections: list[dict[str, str]]) -> list[str]:
    """Claims that the chapter does not make, or that do not hold."""
    text = "\n\n".join(s["prose"] + s["out"] for s in chapter_sections)
    found = []
    for words, *values in claims:
        matches = list(fragment(words).finditer(text))
        if not matches:
            found.append(f"the chapter does not say {words!r}")
        for match in matches:
            holds = [v for v in values if isinstance(v, (bool, np.bool_))]
            numbers = [v for v in values if not isinstance(v, (bool, np.bool_))]
            assert len(numbers) == len(match.groups()) and values, f"a value for each #: {words!r}"
            right = all(agrees(g, v) for g, v in zip(match.groups(), numbers, strict=True))
            if not (right and all(holds)):
                found.append(f"{match[0]!r}: should be {values}")
    return found


def agrees(digits: str, value: float) -> bool:
    """Whether `digits` are `value`, rounded."""
    return abs(as_number(digits) - value) <= 0.5 * 10.0 ** -decimals(digits) + 1e-9


def numbers_in(text: str) -> list[float]:
    plain = re.sub(r"(?<=\d)_(?=\d)", "", text)
    return [as_number(n) for n in re.findall(r"(?<![\w.])(?:\d[\d,]*)?\.?\d+(?:e[+-]?\d+)?", plain)]


def uncovered(section: dict[str, str], claims: list[tuple], code: str, paper: list[float]):
    """The numbers of a section's prose that come from nowhere, with the words around them."""
    raw = section["prose"]
    covered = [
        m.span(i + 1)
        for c in claims
        for m in fragment(c[0]).finditer(raw)
        for i in range(len(m.groups()))
    ]
    text = NO_NUMBERS.sub(lambda m: " " * len(m[0]), raw)
    printed, local = numbers_in(section["out"]), numbers_in(section["code"])
    constants = {n for n in numbers_in(code) if n == int(n)}
    for match in NUMBER.finditer(text):
        digits, value = match[1], as_number(match[1])
        small = not decimals(digits) and not match[2] and value < 20
        if small or any(a <= match.start() < b for a, b in covered):
            continue
        scales = (1, 100) if match[2] else (1,)
        sentence = text[: match.start()].rpartition(". ")[2] + text[match.start() :].split(". ")[0]
        is_constant = value in local or (value in constants and not match[2])
        is_theirs = re.search(r"paper|Pile|abstract|reported", sentence) and value in paper
        if not (
            any(agrees(digits, s * n) for n in printed for s in scales) or is_constant or is_theirs
        ):
            around = raw[max(0, match.start() - 40) : match.end() + 20]
            yield f"{section['title']}: …{' '.join(around.split())}…"
