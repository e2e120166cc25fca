"""The library's docstrings are plain text; here they become reStructuredText.

Aligned rows (a name, two spaces or more, what it is) become a list of definitions, lines with a
hanging indent a list, an indented block stays as it is written. All else is prose: `code` in
single backticks, and an arXiv id, which becomes a link with its number in the bibliography.
"""

import re
from itertools import groupby, pairwise

from links import KEYS

ROW = re.compile(r"(\S+(?: \S+)*?)  +(\S.*)")
CODE = re.compile(r"(``[^`]+``|`[^`]+`)")
ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


def convert(lines: list[str]) -> list[str]:
    """The lines of a docstring as reStructuredText."""
    blocks = re.split(r"\n[ \t]*\n", "\n".join(lines).strip("\n"))
    return "\n\n".join(block(text.split("\n")) for text in blocks if text).split("\n")


def block(lines: list[str]) -> str:
    """What stands between two empty lines."""
    columns = {row.start(2) for row in map(ROW.fullmatch, lines) if row}
    is_figure = len(columns) > 1 and any("   " in line.strip() for line in lines)
    if is_figure or all(line.startswith(" ") for line in lines):
        return "\n".join(["::", "", *("   " + line for line in lines)])
    grouped = groupby(items(lines), key=lambda item: item[0])
    return "\n\n".join(RENDER[kind]([text for _, text in group]) for kind, group in grouped)


def items(lines: list[str]) -> list[tuple[str, str]]:
    """The kinds and texts of a block: an indented line goes on with the one before."""
    hangs = any(_begins(a) == "prose" and b.startswith(" ") for a, b in pairwise(lines))
    found: list[tuple[str, str]] = []
    for line in lines:
        kind = "bullet" if _begins(line) == "prose" and hangs else _begins(line)
        goes_on = line.startswith(" ") or (kind == "prose" and found and found[-1][0] == "prose")
        if goes_on and found:
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}")
        else:
            found.append((kind, line.strip().removeprefix("- ")))
    return found


def _begins(line: str) -> str:
    if line.startswith((" ", "- ")):
        return "bullet"
    return "row" if ROW.fullmatch(line) else "prose"


def definitions(rows: list[str]) -> str:
    """Names, and below each what it is."""
    named = [ROW.fullmatch(row).groups() for row in rows]
    return "\n\n".join(f"{prose(name)}\n   {prose(what)}" for name, what in named)


RENDER = {
    "row": definitions,
    "bullet": lambda texts: "\n".join(f"- {prose(text)}" for text in texts),
    "prose": lambda texts: prose(" ".join(texts)),
}


def prose(text: str) -> str:
    """Words, with code and citations; nothing else in them is markup."""
    parts = CODE.split(text)
    return "".join(code(part) if i % 2 else words(part) for i, part in enumerate(parts))


def code(text: str) -> str:
    """Literal text; the empty escapes let letters touch it."""
    return f"\\ ``{text.strip('`')}``\\ "


def words(text: str) -> str:
    """Escaped, the arXiv ids cited. Raises ValueError for one that references.bib lacks."""
    escaped = re.sub(r"([\\*|_`]|(?<!arXiv):(?=\w))", r"\\\1", text)  # no address: file:Class
    return ARXIV.sub(_cited, re.sub(r"^(\w)\.", r"\1\\.", escaped))


def _cited(match: re.Match[str]) -> str:
    if match[1] not in KEYS:
        raise ValueError(f"{match[0]}: must be in site/references.bib")
    return f"`{match[0]} <https://arxiv.org/abs/{match[1]}>`__ :cite:`{KEYS[match[1]]}`"
