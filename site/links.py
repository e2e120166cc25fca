"""The links of a page: to other pages, to the bibliography, and to where the chapter runs."""

import html
import re
import tomllib
from collections.abc import Collection
from pathlib import Path

from pybtex.database import parse_file

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\]\(([^)\s]+)\)")
INSIDE = re.compile(r"\[([^\]]*)\]\((?!\w+:|#)([^)\s]+)\)")  # neither an address nor a place here
SITES_BRANCH = "gh-pages"  # GitHub Pages' name for where the site lies, at the top
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


def resolved(text: str, source: Path, present: Collection[Path]) -> str:
    """`text` with its links as they hold on the site, whose pages are made from `present`.

    A paper gets its number in the bibliography behind its link. A file that is no page is linked
    in the repository; while that has no address, its name alone stays. Raises ValueError for a
    file that is not there, and for a paper that references.bib lacks.
    """
    text = INSIDE.sub(lambda match: _inside(match, source, present), text)
    return LINK.sub(lambda match: match[0] + _number(match[1]), text)


def _number(target: str) -> str:
    paper = PAPER.fullmatch(target)
    if paper is None:
        return ""
    if paper[1] not in KEYS:
        raise ValueError(f"{target}: must be in site/references.bib")
    return f" {{cite}}`{KEYS[paper[1]]}`"


def _inside(match: re.Match[str], source: Path, present: Collection[Path]) -> str:
    name, hash_, place = match[2].partition("#")
    path = (source.parent / name).resolve()
    if not path.exists():
        raise ValueError(f"{source.name}: link = {match[2]!r}: must be a file of the repository")
    if path.with_suffix("") in {page.with_suffix("") for page in present}:
        return match[0]
    inside = path.relative_to(ROOT).as_posix() + hash_ + place
    return f"[{match[1]}]({REPOSITORY}/blob/main/{inside})" if REPOSITORY else match[1]


def with_launch_row(text: str, source: Path) -> str:
    """The first cell of a page with a row of links below its title: where this notebook runs."""
    if not REPOSITORY:
        return text
    path = source.relative_to(ROOT).as_posix()
    hosted = REPOSITORY.removeprefix("https://github.com/")
    copy = f"{hosted}/blob/{SITES_BRANCH}/{path}"  # colab_copies.py makes it
    targets = {
        "Open in Colab": f"https://colab.research.google.com/github/{copy}",
        "Download the notebook": f"{REPOSITORY}/raw/main/{path}",
        "Edit": f"{REPOSITORY}/edit/main/{written_in(path)}",
    }
    row = " ".join(f'<a href="{html.escape(to)}">{name}</a>' for name, to in targets.items())
    title, _, rest = text.partition("\n")
    return f'{title}\n\n<p class="launch">{row}</p>\n{rest}'


def written_in(path: str) -> str:
    """The file that somebody writes to change the notebook `path`."""
    return path.replace("exercises/", "solutions/").replace(".ipynb", ".md")
