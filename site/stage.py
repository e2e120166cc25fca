"""The repository -> a folder that Sphinx reads. The folders keep their names, so links hold."""

import shutil
from pathlib import Path

import nbformat

import contents
import pages

ROOT = Path(__file__).parent.parent


def stage(
    target: Path, *, live: bool = True, solutions: bool = False, chapters_only: bool = False
) -> None:
    """Write every page of the book into `target`.

    live           widgets move; otherwise their still pictures stand for them.
    solutions      each exercise is followed by its solution, folded.
    chapters_only  neither exercises nor teaching nor reference: what is printed.
    """
    chapters = sorted((ROOT / "book").glob("[0-9][0-9]_*.ipynb"))
    exercises = [] if chapters_only else [ROOT / "exercises" / c.name for c in chapters]
    names = ["glossary", "index"] if chapters_only else ["glossary", "index", "teaching", "teacher"]
    others = [source for name in names for source in found(name)]
    present = [*chapters, *exercises, *others]
    for source in present:
        if solutions and source in exercises:
            page = pages.with_solutions(ROOT / "solutions" / f"{source.stem}.md", present)
        elif source.suffix == ".ipynb":
            page = pages.of_notebook(source, present, live=live)
        else:
            page = pages.of_text(source, present)
        write(target, source, page)
    if not chapters_only:
        contents.write_api(target / "api")
    for name in ("references.bib", "bibliography.md"):
        shutil.copy(ROOT / "site" / name, target)
    contents.write_contents(target, chapters, chapters_only=chapters_only)


def found(name: str) -> list[Path]:
    """The page of book/ with this name: executed if it is, or else its text; or nothing."""
    sources = [ROOT / "book" / f"{name}{ending}" for ending in (".ipynb", ".md")]
    return [source for source in sources if source.exists()][:1]


def write(target: Path, source: Path, page: nbformat.NotebookNode | str) -> None:
    """Write a page where its source stands in the repository."""
    path = target / source.relative_to(ROOT)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page if isinstance(page, str) else nbformat.writes(page))
