"""Bytes of a notebook (.ipynb, Jupytext .md or .py) -> its code cells, read as data only.

The bytes come from students. Nothing here runs them, and sizes are bounded.
"""

import codecs
import itertools
import json
import re

MAX_CODE = 1_000_000  # characters of code in one submission
MAX_CELLS = 2_000
SUFFIXES = (".ipynb", ".md", ".py")
PYTHON = {"python", "python3", "ipython", "ipython3", "py"}
FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[ \t]*(\{?)[ \t]*\.?([\w.+-]*)")
MARK = re.compile(  # begins a cell of a script: %% or, below it, %%%; nbconvert's In[3]; IPython's
    r"^#[ \t]*%%+(?=\s|$)(?P<title>.*)|^# In ?\[[ \d*]*\]:?\s*$|^# ?<codecell>\s*$"
)
LIGHT = re.compile(r"^# [+-](?=\s|$)(?P<title>.*)")
NO_CODE = re.compile(r"\[(markdown|md|raw)\]")
DATABRICKS, TITLE = "# Databricks notebook source", "# DBTITLE"
COMMAND = re.compile(r"^# COMMAND -{5,}\s*$(?P<title>)")
MAGIC = re.compile(r"^# MAGIC ?")  # so Databricks comments out what is no plain Python
LANGUAGE = re.compile(r"^%(?P<name>[\w-]+)[ \t]*")
NOT_PYTHON = {"md", "md-sandbox", "sql", "sh", "scala", "r", "fs", "run"}


def code_cells(data: bytes, name: str) -> list[str]:
    """The sources of the code cells, in order; `name` ends in one of `SUFFIXES`.

    Notebooks of format 3 and 4, without metadata, with sources as text or lists of lines. A
    source that is no text counts as empty. A script without cell marks is one cell. Raises
    ValueError, and nothing else, where this is no notebook or a bound is exceeded.
    """
    text = _decoded(data).replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        raise ValueError("not a notebook: it is binary")
    if name.lower().endswith(".ipynb") or re.match(r'\s*\{\s*"', text):
        sources = _from_json(text)
    elif name.lower().endswith(".md"):
        sources = _from_markdown(text)
    else:
        sources = _from_script(text)
    if len(sources) > MAX_CELLS:
        raise ValueError(f"not a notebook to grade: it has more than {MAX_CELLS:,} code cells")
    if sum(map(len, sources)) > MAX_CODE:
        raise ValueError(f"not a notebook to grade: it has more than {MAX_CODE:,} characters")
    return sources


def as_notebook(sources: list[str]) -> bytes:
    """The bytes of a notebook with these code cells and nothing else: `code_cells` inverted."""
    cells = [{"cell_type": "code", "source": source} for source in sources]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}).encode()


def _decoded(data: bytes) -> str:
    """Text in UTF-8 or, with its mark, UTF-16; wrong bytes do not cost a student the rest."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8-sig", "replace")


def _from_json(text: str) -> list[str]:
    try:
        notebook = json.loads(text)
    except RecursionError:
        raise ValueError("not a notebook: its JSON is nested too deeply") from None
    except ValueError:
        raise ValueError("not a notebook: it is not JSON") from None
    if not isinstance(notebook, dict):
        raise ValueError("not a notebook: it is JSON without cells")
    cells = notebook.get("cells")
    if cells is None and isinstance(notebook.get("worksheets"), list):  # format 3
        sheets = [s.get("cells") for s in notebook["worksheets"] if isinstance(s, dict)]
        cells = [cell for sheet in sheets if isinstance(sheet, list) for cell in sheet]
    if not isinstance(cells, list):
        raise ValueError("not a notebook: it is JSON without cells")
    code = [c for c in cells if isinstance(c, dict) and c.get("cell_type") == "code"]
    return [_source(c.get("source", c.get("input"))) for c in code]


def _source(value: object) -> str:
    lines = value if isinstance(value, list) else [value]
    text = "".join(line for line in lines if isinstance(line, str))
    return text.encode("utf-8", "replace").decode()  # JSON can name half of a character


def _from_markdown(text: str) -> list[str]:
    """MyST's {code-cell} blocks or, where there is none, blocks of Python."""
    myst, plain, open_block, closing = [], [], None, ""
    for line in text.split("\n"):
        if closing:
            stripped = line.strip()
            if stripped.startswith(closing) and not stripped.strip(closing[0]):
                closing = ""
            elif open_block is not None:
                open_block.append(line)
        elif match := FENCE.match(line):
            closing, braced, language = match.groups()
            blocks = myst if language == "code-cell" and braced else plain
            wanted = blocks is myst or language.lower() in PYTHON
            open_block = [] if wanted else None
            if wanted:
                blocks.append(open_block)
    return ["\n".join(_without_options(block)) for block in myst or plain]


def _without_options(lines: list[str]) -> list[str]:
    """A block without the options that MyST puts first: a YAML header or lines like :tags: []."""
    if lines and lines[0] == "---" and "---" in lines[1:]:
        return lines[lines.index("---", 1) + 1 :]
    options = itertools.takewhile(re.compile(r":[\w-]+:").match, lines)
    return lines[len(list(options)) :]


def _from_script(text: str) -> list[str]:
    """The parts between the marks of cells."""
    lines = text.split("\n")
    if text.startswith(DATABRICKS):
        cells = map(_from_databricks, _parted(lines, COMMAND))
    else:
        cells = _parted(lines, MARK if any(map(MARK.match, lines)) else LIGHT)
    return ["\n".join(cell) for cell in cells if any(map(_is_code, cell))]


def _parted(lines: list[str], mark: re.Pattern[str]) -> list[list[str]]:
    """The lines of each cell; those of text are left out."""
    cells, is_code = [[]], True
    for line in lines:
        if match := mark.match(line):
            is_code = not NO_CODE.search(match["title"] or "")
            cells.append([])
        elif is_code:
            cells[-1].append(line)
    return cells


def _from_databricks(lines: list[str]) -> list[str]:
    """A cell as it was before the export; nothing of it where it was in another language."""
    if not any(map(MAGIC.match, lines)):
        return lines
    lines = [MAGIC.sub("", line) for line in lines if not line.startswith(TITLE)]
    first = next((n for n, line in enumerate(lines) if _is_code(line)), 0)
    language = LANGUAGE.match(lines[first])
    if language and language["name"] in NOT_PYTHON:
        return []
    if language and language["name"] == "python":
        lines[first] = lines[first][language.end() :]
    return lines


def _is_code(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")
