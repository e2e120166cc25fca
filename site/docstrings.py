"""The library's docstrings are plain text; here they become reStructuredText.

A block of aligned rows (a name, two spaces or more, what it is) becomes a list of definitions, an
indented block stays as it is written, all else is prose: `code` in single backticks, and an arXiv
id that is a link with its number in the bibliography.
"""

import re

from links import KEYS

ROW = re.compile(r"(\S+(?: \S+)*?)  +(\S.*)")
CODE = re.compile(r"(``[^`]+``|`[^`]+`)")
ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
BULLET = re.compile(r"- |\d+\. ")


def convert(lines: list[str]) -> list[str]:
    """The lines of a docstring as reStructuredText."""
    blocks = re.split(r"\n[ \t]*\n", "\n".join(lines).strip("\n"))
    return "\n\n".join(block(text) for text in blocks if text.strip()).split("\n") + [""]


def block(text: str) -> str:
    """One paragraph, list or figure of a docstring."""
    lines = text.split("\n")
    if all(line.startswith(" ") for line in lines) and not BULLET.match(lines[0].strip()):
        return literal(lines)
    if rows := definitions(lines):
        return "\n".join(f"{prose(name)}\n   {prose(what)}\n" for name, what in rows).rstrip("\n")
    if any(re.search(r"\S   +\S", line) for line in lines):
        return literal(lines)
    return prose(text)


def literal(lines: list[str]) -> str:
    """Lines as they are, in one width."""
    return "\n".join(["::", "", *("   " + line for line in lines)])


def definitions(lines: list[str]) -> list[tuple[str, str]]:
    """The rows of an aligned block; empty where the lines are none.

    A line that begins under the text of the row before goes on with it.
    """
    rows: list[tuple[str, str]] = []
    column = None
    for line in lines:
        row = ROW.fullmatch(line)
        indent = len(line) - len(line.lstrip())
        if row and not indent and column in (None, row.start(2)):
            column = row.start(2)
            rows.append((row[1], row[2]))
        elif rows and indent == column:
            rows[-1] = (rows[-1][0], f"{rows[-1][1]} {line.strip()}")
        else:
            return []
    return rows


def prose(text: str) -> str:
    """Words, with code and citations; nothing else in them is markup."""
    parts = CODE.split(text)
    return "".join(code(part) if i % 2 else words(part) for i, part in enumerate(parts))


def code(text: str) -> str:
    r"""`x` as ``x``, separated from letters that touch it by an empty escape."""
    return f"\\ ``{text.strip('`')}``\\ "


def words(text: str) -> str:
    """Escaped, the arXiv ids cited. Raises ValueError for one that references.bib lacks."""
    text = re.sub(r"([\\*|_])", r"\\\1", text)
    return ARXIV.sub(_cited, text)


def _cited(match: re.Match[str]) -> str:
    if match[1] not in KEYS:
        raise ValueError(f"{match[0]}: must be in site/references.bib")
    return f"`{match[0]} <https://arxiv.org/abs/{match[1]}>`__ :cite:`{KEYS[match[1]]}`"
