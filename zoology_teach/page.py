"""A page of text -> picture: each token on a background of its own (chapters 01 and 10)."""

import itertools
import re
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from zoology_teach.checks import require

COLUMNS = 66
MARKS = {"**": ("▸", ":"), "_": ("[", "]")}  # of a speaker, and of a stage direction
LETTER_WIDTH = 0.602  # of the monospaced font, in its size


def as_printed(tokens: Sequence[str]) -> list[str]:
    """The tokens of a play without its Markdown: `**LADY**` is ▸LADY: and `_Exit_` is [Exit].

    A mark opens at the start, after white space and after another mark that opens.
    """
    text = "".join(tokens)
    letters = list(text)
    for mark in re.finditer(r"\*\*|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", text):
        opens, closes = MARKS[mark[0]]
        before = letters[mark.start() - 1] if mark.start() else " "
        is_open = before.isspace() or before in "▸["
        letters[mark.start()] = opens if is_open else closes
        letters[mark.start() + 1 : mark.end()] = [""] * (len(mark[0]) - 1)
    ends = list(itertools.accumulate(map(len, tokens), initial=0))
    return ["".join(letters[a:b]) for a, b in itertools.pairwise(ends)]


def lay_out(tokens: Sequence[str], columns: int = COLUMNS) -> list[tuple[int, int, int, str]]:
    """(token number, line, column, text) of each printed piece; empty lines are left out."""
    line, column, pieces = 0, 0, []
    for i, token in enumerate(tokens):
        for k, piece in enumerate(token.split("\n")):
            if (k and column) or column + len(piece) > columns:
                line, column = line + 1, 0
            shown = piece if column else piece.lstrip()
            pieces.append((i, line, column, shown))
            column += len(shown)
    return pieces


def height(tokens: Sequence[str]) -> float:
    """Inches that the tokens need on a page."""
    return 0.155 * (lay_out(tokens)[-1][1] + 1) + 0.3


def draw_page(
    panel: Axes, tokens: Sequence[str], colours: Sequence, underlined: Sequence[bool], width: float
) -> None:
    """Write tokens on `panel`, `width` inches wide: on their colours (None is bare), some with
    a blue line below."""
    require(len(tokens) > 0, "tokens", "empty", "at least one token")
    for name, given in {"colours": colours, "underlined": underlined}.items():
        require(len(given) == len(tokens), name, len(given), f"as many as tokens, {len(tokens)}")
    pieces = lay_out(tokens)
    panel.set(xlim=(0, COLUMNS), ylim=(pieces[-1][1] + 1, 0))
    panel.axis("off")
    size = width / COLUMNS * 72 / LETTER_WIDTH
    for i, line, column, piece in pieces:
        if not piece:
            continue
        if colours[i] is not None:
            box = Rectangle((column, line), len(piece), 0.9, facecolor=colours[i], linewidth=0)
            panel.add_patch(box)
        if underlined[i]:
            panel.plot([column, column + len(piece)], [line + 0.95] * 2, color="#0072B2")
        panel.text(column, line + 0.75, piece, family="monospace", fontsize=size)
