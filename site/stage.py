"""The repository -> a folder that Sphinx reads. The folders keep their names, so links hold."""

import shutil
from pathlib import Path

import contents
import nbformat
import pages

ROOT = Path(__file__).parent.parent
TEACHING = ("teaching.md", "teacher.ipynb")


def stage(
    target: Path, *, live: bool = True, solutions: bool = False, chapters_only: bool = False
) -> None:
    """Write every page of the book into `target`.

    live           widgets move; otherwise their still pictures stand for them.
    solutions      each exercise is followed by its solution, folded.
    chapters_only  neither exercises nor reference: what is printed.
    """
    chapters = sorted((ROOT / "book").glob("[0-9][0-9]_*.ipynb"))
    for chapter in chapters:
        write(target, chapter, pages.of_notebook(chapter, live=live))
    if not chapters_only:
        for exercise in (ROOT / "exercises" / chapter.name for chapter in chapters):
            solution = ROOT / "solutions" / f"{exercise.stem}.md"
            page = pages.with_solutions(solution) if solutions else pages.of_notebook(exercise)
            write(target, exercise, page)
        for name in TEACHING:
            copy(target, ROOT / "book" / name, live=live)
        for glossary in found("glossary"):
            copy(target, glossary, live=live)
        contents.write_api(target / "api")
    shutil.copy(ROOT / "site" / "references.bib", target)
    shutil.copy(ROOT / "site" / "bibliography.md", target)
    contents.write_start(target, chapters, chapters_only=chapters_only)


def found(name: str) -> list[Path]:
    """The page of book/ with this name: executed if it is, or else its text; or nothing."""
    return [p for p in (ROOT / "book" / f"{name}{end}" for end in (".ipynb", ".md")) if p.exists()][:1]


def copy(target: Path, source: Path, *, live: bool) -> None:
    """Write the page of a notebook or of a text."""
    if source.suffix == ".ipynb":
        write(target, source, pages.of_notebook(source, live=live))
    else:
        write_text(target, source, pages.of_text(source))


def write(target: Path, source: Path, notebook: nbformat.NotebookNode) -> None:
    """Write a page where its source stands in the repository."""
    write_text(target, source.with_suffix(".ipynb"), nbformat.writes(notebook))


def write_text(target: Path, source: Path, text: str) -> None:
    """The same for a page that is text already."""
    path = target / source.relative_to(ROOT)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
