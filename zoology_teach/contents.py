"""The book as a whole: the line that leads from chapter to chapter, and the list of its words.

Both are written into the sources when they are built, so that nobody keeps them by hand. A folder
is a book where it has an `index.md`.
"""

import re
from pathlib import Path

CONTENTS = "[Contents](index.ipynb)"
LINE = re.compile(rf"\n+{re.escape(CONTENTS)} · [^\n]*")
TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
WORD_LIST = re.compile(r"^## Summary and words$(.*?)^## ", re.MULTILINE | re.DOTALL)
WORD = re.compile(r"\*\*([^*]+)\*\*([^:*\n]{0,12}): (.+?)(?=\s+(?:- )?\*\*|\s*$)", re.MULTILINE)


def chapters(folder: Path) -> list[Path]:
    """The sources of the chapters, in order."""
    return sorted(folder.glob("[0-9][0-9]_*.md"))


def title(source: Path) -> str:
    """The first heading of a source, without its number."""
    found = TITLE.search(source.read_text(encoding="utf-8"))
    return found[1].partition(" · ")[2] or found[1] if found else source.stem


def complete(source: Path, text: str) -> str:
    """`text` of a source with what is written into it: a chapter's navigation, the glossary's
    words. Any other text, and one that stands in no book, is returned as it is.
    """
    if not source.with_name("index.md").exists():
        return text
    if source.name == "glossary.md":
        return text.partition("\n+++\n")[0] + "\n+++\n\n" + glossary(source.parent)
    if source.name not in [chapter.name for chapter in chapters(source.parent)]:
        return text
    line = navigation(source)
    bare = LINE.sub("", text).rstrip("\n")
    top = TITLE.sub(lambda found: f"{found[0]}\n\n{line}", bare, count=1)
    return f"{top}\n\n{line}\n"


def navigation(source: Path) -> str:
    """Where a chapter stands in its book: contents, its number, the one before and after."""
    sources = chapters(source.parent)
    at = [chapter.name for chapter in sources].index(source.name)
    parts = [CONTENTS, f"chapter {source.stem[:2]} of {sources[-1].stem[:2]}"]
    if at > 0:
        parts.append(f"previous: {_link(sources[at - 1])}")
    if at + 1 < len(sources):
        parts.append(f"next: {_link(sources[at + 1])}")
    return " · ".join([*parts, "[Words](glossary.ipynb)"])


def glossary(folder: Path) -> str:
    """The words of all chapters in alphabetical order, each with its chapters: Markdown."""
    entries: dict[str, list[str]] = {}
    for source in chapters(folder):
        section = WORD_LIST.search(source.read_text(encoding="utf-8"))
        for word, symbol, meaning in WORD.findall(section[1] if section else ""):
            said = f"{_upper(meaning)} ([{source.stem[:2]}]({source.stem}.ipynb))"
            entries.setdefault(f"**{word}**{symbol}", []).append(said)
    in_order = sorted(entries, key=lambda head: head.strip("*").lower())
    return "".join(f"- {head}: {' '.join(entries[head])}\n" for head in in_order)


def _link(source: Path) -> str:
    return f"[{source.stem[:2]} {title(source)}]({source.stem}.ipynb)"


def _upper(words: str) -> str:
    return words[:1].upper() + words[1:]
