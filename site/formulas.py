"""Formulas are set while the book is built: KaTeX's HTML and MathML, no script in the page.

KaTeX stands in site/katex (from the npm package, MIT) and runs in the node that playwright brings.
An EPUB gets the MathML alone.
"""

import json
import os
import subprocess
from functools import cache
from pathlib import Path

from docutils import nodes
from playwright._impl._driver import compute_driver_executable

KATEX = Path(__file__).parent / "katex"


@cache
def setter(process: int) -> subprocess.Popen[str]:
    """What sets formulas for the Sphinx `process`; it ends with that one, when its input does."""
    node, _ = compute_driver_executable()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([node, KATEX / "set.js"], encoding="utf-8", **pipes)


@cache
def markup(tex: str, *, display: bool, mathml_only: bool) -> str:
    """A formula as HTML. Raises ValueError for one that KaTeX does not read.

    Raises OSError where node does not run; what it says itself stands above.
    """
    options = {"displayMode": display, "output": "mathml" if mathml_only else "htmlAndMathml"}
    process = setter(os.getpid())
    try:
        process.stdin.write(json.dumps([tex, options]) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
    except (BrokenPipeError, json.JSONDecodeError):
        node, hint = process.args[0], "on Debian it may lack a library: apt-get install libatomic1"
        raise OSError(f"formulas are set by {node}, which does not run; {hint}") from None
    if "error" in answer:
        raise ValueError(f"formula = {tex!r}: {answer['error']}")
    return answer["html"]


def visit_inline(translator, node):
    """Write a formula within a line."""
    _write(translator, node, display=False, tag="span")


def visit_block(translator, node):
    """Write a formula that stands by itself."""
    _write(translator, node, display=True, tag="div")


def _write(translator, node, *, display, tag):
    alone = translator.builder.name == "epub"
    translator.body.append(translator.starttag(node, tag, "", CLASS="math"))
    translator.body.append(markup(node.astext(), display=display, mathml_only=alone))
    translator.body.append(f"</{tag}>\n" if display else f"</{tag}>")
    raise nodes.SkipNode


def add_style(app):
    """The fonts and the style of KaTeX's HTML."""
    if app.builder.name != "epub":
        app.config.html_static_path.append(str(KATEX / "style"))
        app.add_css_file("katex.min.css")


def setup(app):
    """Tell Sphinx of this renderer."""
    app.add_html_math_renderer("katex", (visit_inline, None), (visit_block, None))
    app.connect("builder-inited", add_style)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
