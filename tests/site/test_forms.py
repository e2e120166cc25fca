"""A small book as an EPUB and as a PDF: tagged, with bookmarks, formulas and stills."""

import io
import re
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image
from pypdf import PdfReader

import build
import contents
import pages
import pdf
from zoology_teach.plots import Picture, axes

ROOT = Path(__file__).parents[2]
VIEW = "application/vnd.jupyter.widget-view+json"
WORDS = "A line that rises"


def still() -> str:
    """A picture as plots draw one, in base64."""
    figure, (panel,) = axes(width=4, height=2)
    panel.plot([0, 1])
    return Picture(figure, WORDS).base64()


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A staged book of one chapter."""
    folder = tmp_path_factory.mktemp("small")
    chapter = folder / "repository" / "book" / "00_a_small_one.ipynb"
    chapter.parent.mkdir(parents=True)
    data = {"image/png": still(), VIEW: {"model_id": "a"}}
    shown = new_output("display_data", data, metadata={"image/png": {"alt": WORDS}})
    cells = [
        new_markdown_cell("# 00 · A small one\n\n> **Claim.** It is small."),
        new_markdown_cell("## The question\n\nIs $W \\in \\mathbb{R}^{d}$ a matrix?\n\n$$x^2$$"),
        new_markdown_cell(f"$${' + '.join(['w^2'] * 30)} = y$$"),  # wider than paper
        new_code_cell("# Folded\nprint(1)", outputs=[shown], metadata={"tags": ["hide-input"]}),
    ]
    python = {"language_info": {"name": "python"}}
    nbformat.write(new_notebook(cells=cells, metadata=python), chapter)
    staged = folder / "source"
    (staged / "book").mkdir(parents=True)
    nbformat.write(pages.of_notebook(chapter, [], live=False), staged / "book" / chapter.name)
    for name in ("references.bib", "bibliography.md"):
        shutil.copy(ROOT / "site" / name, staged)
    contents.write_contents(staged, [chapter], chapters_only=True)
    return staged


def test_an_epub_is_well_formed_and_its_formulas_are_mathml(source, tmp_path):
    build.sphinx("epub", source, tmp_path / "epub")
    with zipfile.ZipFile(tmp_path / "epub" / "zoology_teach.epub") as book:
        names = [name for name in book.namelist() if name.endswith(".xhtml")]
        texts = {name: book.read(name).decode() for name in names}
        pictures = [name for name in book.namelist() if name.endswith(".png")]
    for text in texts.values():
        ElementTree.fromstring(text.replace("<!DOCTYPE html>", ""))
    chapter = texts["book/00_a_small_one.xhtml"]
    assert chapter.count("<math") == 3 and "katex-html" not in chapter
    assert f'alt="{WORDS}"' in chapter and "<script" not in chapter
    assert any("_images" in name or "jupyter_execute" in name for name in pictures)


def test_the_pdf_is_tagged_and_has_bookmarks(source, tmp_path, chromium):
    page = build.one_page(source, tmp_path / "single")
    with ThreadPoolExecutor() as elsewhere:  # this thread has a browser already
        printed = elsewhere.submit(pdf.printed, page).result()
    book = PdfReader(io.BytesIO(printed))
    catalog = book.trailer["/Root"]
    assert catalog["/MarkInfo"]["/Marked"] and "/StructTreeRoot" in catalog
    assert catalog["/Lang"].startswith("en")
    assert any("A small one" in title for title in titles(book.outline))
    text = re.sub(r"\s+", " ", " ".join(page.extract_text() for page in book.pages))
    assert "The question" in text and "print(1)" in text
    starts = [page.extract_text().lstrip() for page in book.pages]
    assert starts[0].startswith("zoology_teach"), "the book's title"
    assert [start for start in starts if start.startswith("00 · A small one")]
    assert text.count("w +2 ") == 29 and "w =2 y" in text, "a wide formula, whole"
    images = [image for page in book.pages for image in page.images]
    assert [Image.open(io.BytesIO(image.data)).width > 300 for image in images] == [True]


def titles(outline) -> list[str]:
    """The titles of all bookmarks."""
    return [t for e in outline for t in (titles(e) if isinstance(e, list) else [e.title])]
