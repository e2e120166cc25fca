"""Which code this is: the version and, in a checkout, the commit."""

import subprocess
from functools import cache
from pathlib import Path

import zoology_teach

ROOT = Path(__file__).parents[1]
PATIENCE = 10  # seconds; a repository on a slow disk


@cache
def commit() -> str:
    """The version with the commit it stands on: "0.2.0+1a2b3c4d5e6f", and "-dirty" where the
    library's files differ from that commit. Outside a checkout, or without git: "unknown".
    """
    if not (ROOT / ".git").exists():  # an installed package may lie inside another repository
        return "unknown"
    try:
        revision = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--", "zoology_teach")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return f"{zoology_teach.__version__}+{revision}{'-dirty' * bool(changed)}"


def _git(*words: str) -> str:
    command = ["git", "-C", str(ROOT), *words]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True)
    return done.stdout.decode("utf-8", "replace").strip()
