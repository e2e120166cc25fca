"""The start page with the contents of the site, and the pages of the library's reference."""

import importlib
import pkgutil
import re
import tomllib
from pathlib import Path
from types import ModuleType

import nbformat

import links

ROOT = Path(__file__).parent.parent
LEFT_OUT = ("zoology_teach.grading.ladders.", "zoology_teach.data")  # checks of exercises; a folder


def write_contents(target: Path, chapters: list[Path], *, chapters_only: bool) -> None:
    """Give the start page, book/index, the contents of the site; make it where there is none."""
    names = [c.stem for c in chapters]
    words = ["glossary"] if list((target / "book").glob("glossary.*")) else []
    parts = [toctree("Chapters", names)]
    if chapters_only:  # on paper the chapters follow the start page, at the level of its title
        parts = ["# The chapters", *parts, toctree("Reference", [*words, "../bibliography"])]
    else:
        parts.append(
            toctree("Exercises", [f"{title(c)} <../exercises/{c.stem}>" for c in chapters])
        )
        parts.append(toctree("Teaching", ["teaching", "teacher"]))
        parts.append(toctree("Reference", [*words, "../api/index", "../bibliography"]))
    side = "\n\n".join(parts)
    executed, text = (target / "book" / f"index{ending}" for ending in (".ipynb", ".md"))
    if executed.exists():
        notebook = nbformat.read(executed, as_version=4)
        notebook.cells.append(nbformat.v4.new_markdown_cell(side))
        nbformat.write(notebook, executed)
    else:
        before = text.read_text() if text.exists() else start(chapters)
        text.write_text(f"{before}\n{side}\n")


def start(chapters: list[Path]) -> str:
    """What the book is, and a line for each chapter."""
    readme = (ROOT / "README.md").read_text().split("\n## ")[0]
    lead = re.sub(r"!\[[^]]*\]\([^)]*\)\n+", "", readme)
    lines = [f"- [{title(c)}]({c.name}). {claim(c)}" for c in chapters]
    listed = "\n".join(lines)
    return f"{links.resolved(lead, ROOT / 'README.md', chapters)}\n## Chapters\n\n{listed}\n"


def title(chapter: Path) -> str:
    """The chapter's title, without its hash."""
    return head(chapter).partition("\n")[0].removeprefix("# ")


def claim(chapter: Path) -> str:
    """The claim in a chapter's head; empty without one."""
    found = re.search(r"^> \*\*Claim\.\*\* (.+)$", head(chapter), re.MULTILINE)
    return found[1] if found else ""


def head(chapter: Path) -> str:
    """The text of a chapter's first cell."""
    return nbformat.read(chapter, as_version=4).cells[0].source


def toctree(caption: str, names: list[str]) -> str:
    """A part of the contents, shown at the side."""
    lines = "\n".join(names)
    return f"```{{toctree}}\n:caption: {caption}\n:hidden:\n\n{lines}\n```"


def write_api(folder: Path) -> None:
    """Write a page for each part of the library, in the order in which data flows."""
    folder.mkdir()
    names = parts_in_order()
    for name in names:
        (folder / f"{name}.rst").write_text(reference(name))
    listed = "\n".join(f"   {name}" for name in names)
    heading = "The library"
    text = "What each module of ``zoology_teach`` holds, in the order in which data flows."
    toc = f".. toctree::\n   :maxdepth: 1\n\n{listed}\n"
    (folder / "index.rst").write_text(f"{heading}\n{'=' * len(heading)}\n\n{text}\n\n{toc}")


def parts_in_order() -> list[str]:
    """The parts of the library from the ground up: the layers of pyproject.toml."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    layers = tools["importlinter"]["contracts"][0]["layers"]
    return [name for layer in reversed(layers) for name in layer.split(" | ")]


def reference(name: str) -> str:
    """The page of one part: each of its modules under a heading."""
    part = importlib.import_module(f"zoology_teach.{name}")
    pages = [f"{name}\n{'=' * len(name)}\n\n{documented(part)}"]
    for module in submodules(part):
        short = module.removeprefix("zoology_teach.")
        pages.append(
            f"{short}\n{'-' * len(short)}\n\n{documented(importlib.import_module(module))}"
        )
    return "\n\n".join(pages)


def documented(module: ModuleType) -> str:
    """The directive that documents what a module defines itself."""
    return f".. automodule:: {module.__name__}\n   :members:\n   :ignore-module-all:\n"


def submodules(part: ModuleType) -> list[str]:
    """The names of a package's modules, in alphabetical order."""
    prefix = f"{part.__name__}."
    found = pkgutil.walk_packages(getattr(part, "__path__", []), prefix)
    return sorted(m.name for m in found if not m.name.startswith(LEFT_OUT))
