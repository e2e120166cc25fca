"""Processes and their memory, from /proc; nothing is found where there is none (macOS)."""

import contextlib
import os
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
SOCKET_BYTES = 416 << 10  # that one unix socket can have sent; what arrived outlives its sender
DATAGRAMS = 11  # of as many senders can wait at one socket


def addresses() -> int:
    """Bytes of this process's address space."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[0]) * PAGE if statm.exists() else 0


def descendants(pid: int) -> set[int]:
    """All processes below `pid`; none where there is no /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = entry.read_text(errors="replace").rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found, below = set(), children.get(pid, [])
    while below:
        found.update(below)
        below = [child for parent in below for child in children.get(parent, [])]
    return found


def resident(pid: int) -> int:
    """Bytes in memory, shared ones included."""
    return pages(with_memory(pid)) * PAGE


def proportional(pid: int) -> int:
    """Bytes in memory, shared ones in equal parts; all of them where a process hides that."""
    with contextlib.suppress(OSError):
        for line in (with_memory(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    return resident(pid)


def with_memory(pid: int) -> Path:
    """Where /proc tells of its memory: at a thread of it where the first thread has ended."""
    process = Path(f"/proc/{pid}")
    if pages(process) == 0:
        with contextlib.suppress(OSError):
            for thread in (process / "task").iterdir():
                if pages(thread):
                    return thread
    return process


def pages(entry: Path) -> int:
    """Pages in memory."""
    with contextlib.suppress(OSError, IndexError):
        return int((entry / "statm").read_text().split()[1])
    return 0


def buffered(pid: int) -> int:
    """The most bytes that can wait in the unix sockets of a process's network namespace.

    They are in no process's memory. Connections that nobody has accepted are among them.
    """
    with contextlib.suppress(OSError):
        kinds = [row.split()[4] for row in _rows(Path(f"/proc/{pid}/net/unix"))]
        return SOCKET_BYTES * sum(DATAGRAMS if kind == "0002" else 1 for kind in kinds)
    return 0


def _rows(table: Path) -> list[str]:
    """The lines of one of /proc's tables, below its heading."""
    return table.read_text(errors="replace").split("\n")[1:-1]
