"""Which code this is: version, commit, and whether the code differs from that commit."""

import os
import subprocess
from functools import cache
from hashlib import sha256
from pathlib import Path

from zoology_teach import __version__

PACKAGE = Path(__file__).resolve().parent
SECONDS = 10  # that git may take


@cache
def code() -> str:
    """For example 0.2.0+1a2b3c4d5e6f, with ".changed.0a1b2c3d" where the code was edited since.

    The last part is a hash of the package's files; where there is no git it stands alone, as in
    0.2.0+0a1b2c3d. Two processes with the same text run the same code.
    """
    commit = _git("rev-parse", "--short=12", "HEAD")
    if commit is None or _git("ls-files", "--error-unmatch", "version.py") is None:
        return f"{__version__}+{_digest()}"
    edited = _git("status", "--porcelain", "--", ".")
    return f"{__version__}+{commit}" + (f".changed.{_digest()}" if edited != "" else "")


def _git(*arguments: str) -> str | None:
    """What git says of the package's folder; None where it cannot be asked."""
    command = ["git", "-C", str(PACKAGE), *arguments]
    ours = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}  # a hook sets GIT_DIR
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=ours)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _digest() -> str:
    content = sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        content.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return content.hexdigest()[:8]
