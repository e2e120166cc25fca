"""Tokens -> picture: a page of text on colours, a sequence with what answers what."""

import itertools
import math
import re
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from zoology_teach.checks import require
from zoology_teach.tasks.examples import Examples

COLUMNS = 66
MARKS = {"**": ("▸", ":"), "_": ("[", "]")}  # of a speaker, and of a stage direction
BLANK, KEY, VALUE, QUESTION = "#DDDDDD", "#0072B2", "#D55E00", "#009E73"
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


def draw_sequence(panel: Axes, examples: Examples) -> None:
    """Draw the first of the sequences on `panel`: a square a token, and an arc from each question
    back to the value that answers it (chapters 00 and 02)."""
    tokens, asked = examples.inputs[0].tolist(), examples.positions[0].tolist()
    n = len(tokens)
    colours = [BLANK] * n
    for question in asked:
        value = tokens.index(tokens[question]) + 1
        colours[value - 1], colours[value], colours[question] = KEY, VALUE, QUESTION
        middle, radius = (value + question) / 2, (question - value) / 2
        angles = [math.pi * step / 40 for step in range(41)]
        across = [middle + radius * math.cos(angle) for angle in angles]
        panel.plot(
            across, [1 + 8 / n * radius * math.sin(a) for a in angles], color="#999999", lw=1
        )
    panel.bar(range(n), [1.0] * n, width=0.85, color=colours)
    panel.set(xlabel="position", yticks=[], xlim=(-1, n), ylim=(0, 5.3))
    panel.spines["left"].set_visible(False)
    panel.grid(False)
