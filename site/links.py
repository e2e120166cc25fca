"""The links of a page: to other pages, to the bibliography, and to where the chapter runs."""

import html
import posixpath
import re
import tomllib
from pathlib import Path

from pybtex.database import parse_file

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\]\(([^)\s]+)\)")
STAGED = ("book/", "exercises/")  # the folders whose notebooks and texts are pages
PAPER = re.compile(r"https?://(?:arxiv\.org/abs|doi\.org)/(.+)")


def repository() -> str:
    """The address of the repository, from pyproject.toml; empty while it has none."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project.get("urls", {}).get("Repository", "").rstrip("/")


def cited_as() -> dict[str, str]:
    """The key in references.bib of every arXiv id and DOI that it has."""
    entries = parse_file(str(ROOT / "site" / "references.bib")).entries
    ids = ("eprint", "doi")
    return {e.fields[id]: key for key, e in entries.items() for id in ids if id in e.fields}


KEYS, REPOSITORY = cited_as(), repository()


def resolved(text: str, source: Path) -> str:
    """`text` with its links as they hold on the site.

    A paper gets its number in the bibliography behind its link. What the site lacks is linked in
    the repository; while that has no address, its name alone stays.
    """
    text = re.sub(r"\[([^\]]*)\]\((?!\w+:|#)([^)\s]+)\)", lambda m: _inside(m, source), text)
    return LINK.sub(lambda match: match[0] + _number(match[1]), text)


def _number(target: str) -> str:
    paper = PAPER.fullmatch(target)
    if paper is None:
        return ""
    if paper[1] not in KEYS:
        raise ValueError(f"{target}: must be in site/references.bib")
    return f" {{cite}}`{KEYS[paper[1]]}`"


def _inside(match: re.Match[str], source: Path) -> str:
    path, hash_, place = match[2].partition("#")
    inside = posixpath.normpath(posixpath.join(source.parent.relative_to(ROOT).as_posix(), path))
    if inside.startswith(STAGED) and inside.endswith((".md", ".ipynb")):
        return match[0]
    return (
        f"[{match[1]}]({REPOSITORY}/blob/main/{inside}{hash_}{place})" if REPOSITORY else match[1]
    )


def with_launch_row(text: str, source: Path) -> str:
    """The first cell of a page with a row of links below its title: where this notebook runs."""
    if not REPOSITORY:
        return text
    path = source.relative_to(ROOT).as_posix()
    hosted = REPOSITORY.removeprefix("https://github.com/")
    targets = {
        "Open in Colab": f"https://colab.research.google.com/github/{hosted}/blob/main/{path}",
        "Download the notebook": f"{REPOSITORY}/raw/main/{path}",
        "Edit": f"{REPOSITORY}/edit/main/{written_in(path)}",
    }
    row = " ".join(f'<a href="{html.escape(to)}">{name}</a>' for name, to in targets.items())
    title, _, rest = text.partition("\n")
    return f'{title}\n\n<p class="launch">{row}</p>\n{rest}'


def written_in(path: str) -> str:
    """The file that somebody writes to change the notebook `path`."""
    return path.replace("exercises/", "solutions/").replace(".ipynb", ".md")
