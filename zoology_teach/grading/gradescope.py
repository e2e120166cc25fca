"""Who handed in each folder of a Gradescope export, by the list that lies beside the folders."""

import re
import unicodedata
from collections import Counter
from dataclasses import replace

import yaml

from zoology_teach.grading.archives import Entry, Unreadable
from zoology_teach.grading.origins import Origin

METADATA = "submission_metadata.yml"  # of Gradescope
SUBMITTERS = re.compile(
    r"^(submission_\d+):[^\n]*\n(?: [^\n]*\n)*?  :?submitters:[ \t]*\n((?:  [- ] [^\n]*\n)+)",
    re.MULTILINE,
)


def submitters(entries: list[Entry], depth: int) -> dict[str, list[Origin]]:
    """Folder -> who handed it in; a group is several students, each named by email or number.

    Whoever is named by neither is one person only within a folder.
    """
    listed = [e for e in entries if len(e.path) == depth + 1 and e.path[-1] == METADATA]
    if not listed:
        return {}
    try:
        text = listed[0].read().decode("utf-8", "replace").replace("\r\n", "\n") + "\n"
        loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # all values stay texts
        blocks = {name: yaml.load(block, loader) for name, block in SUBMITTERS.findall(text)}
    except (Unreadable, yaml.YAMLError):
        return {}
    found = {
        name: [origin for person in people if (origin := _submitter(person))]
        for name, people in blocks.items()
    }
    only_named = Counter(o.student for people in found.values() for o in people if not o.id)
    return {
        name: [
            # perhaps two people
            replace(o, id=f"{o.student}/{name}") if not o.id and only_named[o.student] > 1 else o
            for o in people
        ]
        for name, people in found.items()
    }


def _submitter(person: object) -> Origin | None:
    if not isinstance(person, dict):
        return None
    values = {str(k).strip(":"): str(v).strip() for k, v in person.items()}
    name = unicodedata.normalize("NFC", values.get("name", ""))
    id = values.get("email") or values.get("sid") or ""
    return Origin("gradescope", name or id, id) if name or id else None
