"""The system calls that student code is refused, as a filter in the kernel's language (BPF)."""

import struct
import sys

NEW = {  # the flag of clone and unshare that asks for a new namespace
    "mounts": 0x0002_0000,
    "uts": 0x0400_0000,
    "ipc": 0x0800_0000,
    "user": 0x1000_0000,
    "processes": 0x2000_0000,
    "network": 0x4000_0000,
    "cgroup": 0x0200_0000,
    "time": 0x80,
}
# Numbers on x86-64 and arm64, None where there is no such call. From 424 on all machines agree.
REFUSED = {
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    "sched_setaffinity": (203, 122),
    "ioprio_set": (251, 30),
    # memory that no process accounts for
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "vmsplice": (278, 75),
    "remap_file_pages": (216, 234),
    # namespaces, mounts, roots
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "statmount": (457, 457),
    "listmount": (458, 458),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # parts of the kernel that programs here do without
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "seccomp": (317, 277),
    "io_setup": (206, 0),
    "io_destroy": (207, 1),
    "io_submit": (209, 2),
    "io_cancel": (210, 3),
    "io_getevents": (208, 4),
    "io_pgetevents": (333, 292),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "inotify_add_watch": (254, 27),
    "modify_ldt": (154, None),
    "personality": (135, 92),
    "lookup_dcookie": (212, 18),
    "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
    # the machine
    "reboot": (169, 142),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "syslog": (103, 116),
    "vhangup": (153, 58),
    "nfsservctl": (180, 42),
    "uselib": (134, None),
    "ustat": (136, None),
    "sysfs": (139, None),
    "_sysctl": (156, None),
    "iopl": (172, None),
    "ioperm": (173, None),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
}
NEWEST = 462  # a call with a higher number is one that nobody has looked at
MACHINES = {"x86_64": (0, 0xC000_003E), "aarch64": (1, 0xC000_00B7)}  # column, audit number
CLONE, CLONE3, SOCKET, MMAP = (56, 220), (435, 435), (41, 198), (9, 222)
EPERM, ENOMEM, ENOSYS, EAFNOSUPPORT = 1, 12, 38, 97
ALLOWED_SOCKETS = (1, 2, 10)  # unix, inet, inet6: the network namespace has none but itself
MAP_SHARED, MAP_ANONYMOUS, MAP_HUGE = 0x01, 0x20, 0x4_0000
NUMBER, MACHINE, ARGUMENTS = 0, 4, 16  # where the words of a call lie
ALLOW, KILL, FAIL = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
LOW = 0 if sys.byteorder == "little" else 4  # the half of an argument that holds its flags
Step = tuple[int, int, int, int]  # operation, steps to skip if true, if not, operand


def load(where: int) -> Step:
    """Take the 32 bits at `where` of what the kernel shows of a call."""
    return (0x20, 0, 0, where)


def argument(number: int) -> Step:
    """Take the lower half of an argument, by its number from 0."""
    return load(ARGUMENTS + 8 * number + LOW)


def equal(value: int, yes: int, no: int) -> Step:
    """Go `yes` steps on where what was taken is `value`, else `no`."""
    return (0x15, yes, no, value)


def at_least(value: int, yes: int, no: int) -> Step:
    """Go `yes` steps on where what was taken is `value` or more, else `no`."""
    return (0x35, yes, no, value)


def any_of(bits: int, yes: int, no: int) -> Step:
    """Go `yes` steps on where one of these bits is set, else `no`."""
    return (0x45, yes, no, bits)


def then(action: int) -> Step:
    """End with an action."""
    return (0x06, 0, 0, action)


def filter_program(machine: str) -> bytes:
    """The filter for a machine (of `MACHINES`): load a word of the call, compare, decide."""
    column, audit = MACHINES[machine]
    steps = [load(MACHINE), equal(audit, 1, 0), then(KILL), load(NUMBER)]
    if column == 0:  # a second table of numbers on x86-64
        steps += [at_least(0x4000_0000, 0, 1), then(FAIL | EPERM)]
    steps += [at_least(NEWEST + 1, 0, 1), then(FAIL | ENOSYS)]
    for numbers in REFUSED.values():
        if numbers[column] is not None:
            steps += [equal(numbers[column], 0, 1), then(FAIL | EPERM)]
    steps += [equal(CLONE3[column], 0, 1), then(FAIL | ENOSYS)]  # its flags cannot be seen
    for number, decide in (
        (CLONE, no_namespaces()),
        (MMAP, counted_memory()),
        (SOCKET, allowed_sockets()),
    ):
        steps += [equal(number[column], 0, len(decide)), *decide]
    return b"".join(struct.pack("HBBI", *step) for step in (*steps, then(ALLOW)))


def no_namespaces() -> list[Step]:
    """Of clone: all but a new namespace. The bits of "time" mean a signal here."""
    flags = sum(NEW.values()) & ~NEW["time"]
    return [argument(0), any_of(flags, 0, 1), then(FAIL | EPERM), then(ALLOW)]


def counted_memory() -> list[Step]:
    """Of mmap: all but what stays when it is unmapped, or is no part of a process's memory."""
    return [
        argument(3),
        any_of(MAP_HUGE, 2, 0),
        any_of(MAP_ANONYMOUS, 0, 2),
        any_of(MAP_SHARED, 0, 1),
        then(FAIL | ENOMEM),
        then(ALLOW),
    ]


def allowed_sockets() -> list[Step]:
    """Of socket: the families that stay within the network namespace."""
    allowed = [step for f in ALLOWED_SOCKETS for step in (equal(f, 0, 1), then(ALLOW))]
    return [argument(0), *allowed, then(FAIL | EAFNOSUPPORT)]
