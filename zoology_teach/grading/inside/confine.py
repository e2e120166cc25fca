"""What a submission's process gives up before student code runs in it. Linux; inside bwrap.

Every submission gets namespaces of its own (user, mounts, processes, network, ipc): it sees no
process but its own, files in memory that vanish with it, and no /proc. A filter of system
calls (`system_calls`) takes what is left that could reach out: tracing, new namespaces, mounts,
memory that no process accounts for, other cores, sockets that no namespace holds back (vsock).
"""

import contextlib
import ctypes
import os
import platform
import resource
import struct

from zoology_teach.grading.inside.system_calls import NEW, filter_program

READ_ONLY, NO_SUID, NO_DEV, NO_EXEC, BIND = 1, 2, 4, 8, 1 << 12
RECURSIVE, PRIVATE = 1 << 14, 1 << 18
SET_PDEATHSIG, SET_DUMPABLE, SET_SECCOMP, CAPBSET_DROP = 1, 4, 22, 24
SET_CHILD_SUBREAPER, SET_NO_NEW_PRIVS = 36, 38
FILTER = 2
LAST_CAPABILITY = 63
SIGKILL = 9
NOBODY = 65534
OPEN_FILES = 64  # of a process
FILES_IN_MEMORY = 4096  # in each folder that can be written to

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def prctl(option: int, *values: int) -> None:
    padded = [ctypes.c_ulong(v) for v in (*values, 0, 0, 0, 0)[:4]]
    checked(libc.prctl(option, *padded), f"prctl {option}")


def become_nobody() -> None:
    """Root in the sandbox is root outside: become an ordinary user, so that limits hold."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        prctl(SET_DUMPABLE, 1)  # or /proc/self/uid_map could not be written


def new_namespaces(file_bytes: int) -> None:
    """Leave all of the caller's namespaces; that of processes takes effect with the next fork."""
    user, group = os.getuid(), os.getgid()
    names = ("user", "mounts", "processes", "network", "ipc", "uts")
    checked(libc.unshare(sum(NEW[name] for name in names)), "unshare")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{NOBODY} {user} 1"),  # the same for everybody who grades
        ("gid_map", f"{NOBODY} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    checked(libc.mount(None, b"/", None, RECURSIVE | PRIVATE, None), "mount /")
    room = f"size={file_bytes},nr_inodes={FILES_IN_MEMORY},mode=755".encode()
    for place, flags, options in (
        (b"/tmp", NO_SUID | NO_DEV, room),
        (b"/dev/shm", NO_SUID | NO_DEV, room),
        (b"/proc", NO_SUID | NO_DEV | NO_EXEC | READ_ONLY, b"size=0,mode=555"),
    ):
        checked(libc.mount(b"tmpfs", place, b"tmpfs", flags, options), f"mount {place.decode()}")
    zero = libc.mount(b"/dev/null", b"/dev/zero", None, BIND, None)  # mapped, it is shared memory
    checked(zero, "mount /dev/zero")
    os.chdir("/tmp")


def drop_capabilities() -> None:
    """Give up all privileges over the namespaces, for good."""
    prctl(SET_NO_NEW_PRIVS, 1)
    for capability in range(LAST_CAPABILITY + 1):
        try:
            prctl(CAPBSET_DROP, capability)
        except OSError:  # beyond the last that this kernel has
            break
    header, none = struct.pack("=Ii", 0x2008_0522, 0), bytes(24)
    checked(libc.capset(header, none), "capset")


def limit(memory: int, files: int, cpu_seconds: int, tasks: int | None) -> None:
    """Limits of this process and its children; `memory` is the most addresses of each, bytes."""
    for name, most in (
        ("RLIMIT_AS", memory),
        ("RLIMIT_FSIZE", files),
        ("RLIMIT_CPU", cpu_seconds),
        ("RLIMIT_NPROC", tasks),
        ("RLIMIT_NOFILE", OPEN_FILES),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_MSGQUEUE", 0),
        ("RLIMIT_MEMLOCK", 0),
    ):
        which = getattr(resource, name, None)
        if which is None or most is None:
            continue
        hard = resource.getrlimit(which)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        last = most + 1 if name == "RLIMIT_CPU" and most != hard else most  # a signal that says why
        with contextlib.suppress(ValueError, OSError):  # macOS has names that it does not honour
            resource.setrlimit(which, (most, last))


def filter_system_calls() -> None:
    """Refuse what `system_calls` names, for this process and all it starts."""
    program = filter_program(platform.machine())
    code = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    pointer = ctypes.create_string_buffer(described, len(described))
    prctl(SET_NO_NEW_PRIVS, 1)
    prctl(SET_SECCOMP, FILTER, ctypes.addressof(pointer))
