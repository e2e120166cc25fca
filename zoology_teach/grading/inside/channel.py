"""The socket between the grader and a student's process: whole frames, from one process alone.

Whoever forks hands its open files on, so more than one process may write to the socket. The
kernel says of each piece which process wrote it (SCM_CREDENTIALS, on Linux): the student's
process sends one byte before any student code runs, and only what it sends later is read.
"""

import socket
import struct
import time
from typing import Any

from zoology_teach.grading.inside.bounds import Bounds, need
from zoology_teach.grading.inside.wire import HEAD, decode, encode, lengths

CREDENTIALS = struct.Struct("=3i")  # process, user, group: as the receiver's namespaces see them
NAMES_ITS_SENDER = hasattr(socket, "SO_PASSCRED")
GREETING = b"h"


def pair() -> tuple[socket.socket, socket.socket]:
    """The grader's end, on which the sender of every piece can be told, and the student's."""
    outer, inner = socket.socketpair()
    if NAMES_ITS_SENDER:
        outer.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return outer, inner


def greeted(channel: socket.socket, seconds: float) -> int | None:
    """Wait for the greeting: the process that sent it, None where the kernel does not say.

    Raises EOFError, TimeoutError or OSError where none comes.
    """
    channel.settimeout(seconds)
    data, process = piece(channel, 1)
    if not data:
        raise EOFError
    return process


def send(channel: socket.socket, value: Any, bounds: Bounds, seconds: float | None = None) -> None:
    """Send one value. Raises WireError, TimeoutError, or OSError where nobody listens."""
    frame = encode(value, bounds)
    channel.settimeout(seconds)
    channel.sendall(frame)


def receive(
    channel: socket.socket,
    bounds: Bounds,
    seconds: float | None = None,
    sender: int | None = None,
) -> Any:
    """Receive one value; what others than `sender` wrote is passed over where it is given.

    Raises WireError, EOFError at the end, TimeoutError after `seconds`.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    head = exactly(channel, HEAD.size, deadline, sender, whole=False)
    header, body = lengths(head, bounds)
    described = exactly(channel, header, deadline, sender)
    return decode(described, exactly(channel, body, deadline, sender), bounds)


def exactly(
    channel: socket.socket,
    count: int,
    deadline: float | None,
    sender: int | None,
    *,
    whole: bool = True,
) -> bytes:
    """`count` bytes; an end before the first is EOFError unless a `whole` rest was due."""
    data = bytearray()
    while len(data) < count:
        if deadline is not None:
            channel.settimeout(max(deadline - time.monotonic(), 1e-3))
            if time.monotonic() > deadline:
                raise TimeoutError
        else:
            channel.settimeout(None)
        read, process = piece(channel, min(count - len(data), 1 << 16))
        if not read and not data and not whole:
            raise EOFError
        need(bool(read), f"a frame cut off after {len(data):,} of {count:,} bytes")
        if sender in (None, process):
            data += read
    return bytes(data)


def piece(channel: socket.socket, most: int) -> tuple[bytes, int | None]:
    """Some bytes that one process wrote, and that process where the kernel says it."""
    if not NAMES_ITS_SENDER:
        return channel.recv(most), None
    data, extra, *_ = channel.recvmsg(most, socket.CMSG_LEN(CREDENTIALS.size))
    for level, kind, named in extra:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            return data, CREDENTIALS.unpack(named)[0]
    return data, None
