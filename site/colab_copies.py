"""A copy of each notebook beside its page, with the cell in front that Colab needs.

Colab opens a notebook of GitHub by its path in a branch. The committed notebook lacks that cell,
so "Open in Colab" leads to the copy, in the branch that GitHub Pages serves the site from.
"""

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell

import links
from zoology_teach.colab import first_cell


def write(staged: Path, site: Path) -> None:
    """Write into `site` a copy of every notebook that is `staged`; none without a repository."""
    if not links.REPOSITORY:
        return
    for page in staged.rglob("*.ipynb"):
        path = page.relative_to(staged)
        notebook = nbformat.read(links.ROOT / path, as_version=4)
        notebook.cells.insert(0, new_code_cell(first_cell(links.REPOSITORY), id="colab"))
        copy = site / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(nbformat.writes(notebook))
