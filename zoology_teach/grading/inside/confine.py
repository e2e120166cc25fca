"""What a submission's process gives up before student code runs in it. Linux; inside bwrap.

Every submission gets namespaces of its own (user, mounts, processes, network, ipc): it sees no
process but its own, files in memory that vanish with it, and no /proc. A filter of system
calls takes what is left that could reach out: tracing, new namespaces, mounts, memory that
no process accounts for, other cores, sockets that no namespace holds back (vsock).
"""

import contextlib
import ctypes
import os
import platform
import resource
import struct
import sys

NEW = {
    "mounts": 0x0002_0000,
    "uts": 0x0400_0000,
    "ipc": 0x0800_0000,
    "user": 0x1000_0000,
    "processes": 0x2000_0000,
    "network": 0x4000_0000,
    "cgroup": 0x0200_0000,
    "time": 0x80,
}
READ_ONLY, NO_SUID, NO_DEV, NO_EXEC, RECURSIVE, PRIVATE = 1, 2, 4, 8, 1 << 14, 1 << 18
SET_PDEATHSIG, SET_DUMPABLE, SET_SECCOMP, CAPBSET_DROP = 1, 4, 22, 24
SET_CHILD_SUBREAPER, SET_NO_NEW_PRIVS = 36, 38
FILTER = 2
LAST_CAPABILITY = 63
SIGKILL = 9

# Refused system calls: their numbers on x86-64 and arm64. From 424 on all machines agree.
REFUSED = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "memfd_create": (319, 279),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "sched_setaffinity": (203, 122),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "pidfd_getfd": (438, 438),
    "mount_setattr": (442, 442),
    "memfd_secret": (447, 447),
}
MACHINES = {"x86_64": (0, 0xC000_003E), "aarch64": (1, 0xC000_00B7)}  # column, audit number
CLONE, CLONE3, SOCKET = (56, 220), (435, 435), (41, 198)
EPERM, ENOSYS, EAFNOSUPPORT = 1, 38, 97
ALLOWED_SOCKETS = (1, 2, 10)  # unix, inet, inet6: the network namespace has none but itself

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
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        prctl(SET_DUMPABLE, 1)  # or /proc/self/uid_map could not be written


def new_namespaces(file_bytes: int) -> None:
    """Leave all of the caller's namespaces; that of processes takes effect with the next fork."""
    user, group = os.getuid(), os.getgid()
    names = ("user", "mounts", "processes", "network", "ipc", "uts")
    checked(libc.unshare(sum(NEW[name] for name in names)), "unshare")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    checked(libc.mount(None, b"/", None, RECURSIVE | PRIVATE, None), "mount /")
    room = f"size={file_bytes},nr_inodes=4096,mode=755".encode()
    for place, flags, options in (
        (b"/tmp", NO_SUID | NO_DEV, room),
        (b"/dev/shm", NO_SUID | NO_DEV, room),
        (b"/proc", NO_SUID | NO_DEV | NO_EXEC | READ_ONLY, b"size=0,mode=555"),
    ):
        checked(libc.mount(b"tmpfs", place, b"tmpfs", flags, options), f"mount {place.decode()}")
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
        ("RLIMIT_NOFILE", 64),
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
    """Refuse the system calls above, for this process and all it starts."""
    column, machine = MACHINES[platform.machine()]
    program = filter_program(column, machine)
    code = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    pointer = ctypes.create_string_buffer(described, len(described))
    prctl(SET_NO_NEW_PRIVS, 1)
    prctl(SET_SECCOMP, FILTER, ctypes.addressof(pointer))


def filter_program(column: int, machine: int) -> bytes:
    """The filter as BPF: load a word of the call, compare, return what is to happen."""
    NUMBER, MACHINE, ARGUMENT = 0, 4, 16  # where the words lie
    ALLOW, KILL, FAIL = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
    low = 0 if sys.byteorder == "little" else 4

    def load(where: int) -> tuple:
        return (0x20, 0, 0, where)

    def unless(equal: int) -> tuple:  # skip the next instruction unless the word is this
        return (0x15, 0, 1, equal)

    def then(action: int) -> tuple:
        return (0x06, 0, 0, action)

    steps = [load(MACHINE), (0x15, 1, 0, machine), then(KILL), load(NUMBER)]
    if column == 0:  # a second table of numbers on x86-64
        steps += [(0x35, 0, 1, 0x4000_0000), then(FAIL | EPERM)]
    for numbers in REFUSED.values():
        steps += [unless(numbers[column]), then(FAIL | EPERM)]
    steps += [unless(CLONE3[column]), then(FAIL | ENOSYS)]  # its flags cannot be seen
    flags = sum(NEW.values()) & ~NEW["time"]  # those bits mean a signal here
    steps += [(0x15, 0, 4, CLONE[column]), load(ARGUMENT + low), (0x45, 0, 1, flags)]
    steps += [then(FAIL | EPERM), then(ALLOW)]
    allowed = [step for family in ALLOWED_SOCKETS for step in (unless(family), then(ALLOW))]
    steps += [(0x15, 0, 2 + len(allowed), SOCKET[column]), load(ARGUMENT + low), *allowed]
    steps += [then(FAIL | EAFNOSUPPORT), then(ALLOW)]
    return b"".join(struct.pack("HBBI", *step) for step in steps)
