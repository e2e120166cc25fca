"""The filter of system calls, run as the kernel would run it, and its numbers."""

import errno
import re
import struct
from pathlib import Path

import pytest

from zoology_teach.grading.inside.system_calls import MACHINES, REFUSED, filter_program

ALLOWED, KILLED = 0x7FFF_0000, 0x8000_0000  # linux/seccomp.h: RET_ALLOW, RET_KILL_PROCESS
AUDIT = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}  # linux/audit.h
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
CLONE, CLONE3 = {"x86_64": 56, "aarch64": 220}, 435
MMAP, SOCKET = {"x86_64": 9, "aarch64": 222}, {"x86_64": 41, "aarch64": 198}
NAMESPACES = [1 << 17, *(1 << bit for bit in range(25, 31))]  # linux/sched.h: CLONE_NEWNS, ...


def refused(code: int) -> int:
    return 0x0005_0000 | code


def decision(machine: str, number: int, *arguments: int, audit: int | None = None) -> int:
    """What the filter answers to one call: an interpreter of its six operations."""
    arguments += (0,) * (6 - len(arguments))
    call = struct.pack("<iIQ6Q", number, audit or AUDIT[machine], 0, *arguments)
    steps = list(struct.iter_unpack("HBBI", filter_program(machine)))
    taken = at = 0
    while True:
        operation, yes, no, operand = steps[at]
        at += 1
        match operation:
            case 0x20:
                (taken,) = struct.unpack_from("<I", call, operand)
            case 0x15:
                at += yes if taken == operand else no
            case 0x35:
                at += yes if taken >= operand else no
            case 0x45:
                at += yes if taken & operand else no
            case 0x06:
                return operand
            case _:
                raise AssertionError(f"no such operation: {operation:#x}")


@pytest.mark.parametrize("machine", AUDIT)
def test_the_numbers_are_those_of_the_kernel(machine):
    if not HEADERS[machine].exists():
        pytest.skip("no headers of the kernel: apt-get install linux-libc-dev")
    defined = re.findall(r"#define __NR(?:3264)?_(\w+)[ \t]+(\d+)\n", HEADERS[machine].read_text())
    known = {name: int(number) for name, number in defined}
    assert known.keys() >= {"clone", "clone3", "mmap", "socket", "ptrace", "bpf"}
    column = list(AUDIT).index(machine)
    wrong = {
        name: (numbers[column], known[name])
        for name, numbers in REFUSED.items()
        if name in known and numbers[column] != known[name]
    }
    assert not wrong
    younger = {"statmount", "listmount"}  # Linux 6.8
    assert {n for n, numbers in REFUSED.items() if numbers[column] is not None} <= {
        *known,
        *younger,
        "nfsservctl",
    }
    assert (CLONE[machine], CLONE3) == (known["clone"], known["clone3"])
    assert (MMAP[machine], SOCKET[machine]) == (known["mmap"], known["socket"])


def test_the_youngest_calls_are_the_same_everywhere():
    assert REFUSED["statmount"] == (457, 457) and REFUSED["listmount"] == (458, 458)
    assert REFUSED["nfsservctl"] == (180, 42)


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_refused_fails_and_its_neighbours_do_not(machine):
    column = list(AUDIT).index(machine)
    numbers = {n[column] for n in REFUSED.values() if n[column] is not None}
    asked = {CLONE3, SOCKET[machine]}
    for number in range(463):
        expected = refused(errno.EPERM) if number in numbers else ALLOWED
        if number not in asked:
            assert decision(machine, number) == expected, number
    assert decision(machine, CLONE3) == refused(errno.ENOSYS)
    assert decision(machine, 462) == ALLOWED
    assert decision(machine, 463) == decision(machine, 0x3FFF_FFFF) == refused(errno.ENOSYS)
    x32 = errno.EPERM if machine == "x86_64" else errno.ENOSYS
    assert decision(machine, 0x4000_0000) == decision(machine, 0x4000_0001) == refused(x32)


@pytest.mark.parametrize("machine", MACHINES)
def test_a_call_in_the_manner_of_another_machine_ends_the_process(machine):
    for audit in (0x4000_0003, *(set(AUDIT.values()) - {AUDIT[machine]})):
        assert decision(machine, 0, audit=audit) == KILLED
    assert decision(machine, 5) == ALLOWED


@pytest.mark.parametrize("machine", MACHINES)
def test_clone_makes_processes_and_threads_but_no_namespace(machine):
    number, thread, sigchld = CLONE[machine], 0x3D0F00, 17
    assert decision(machine, number, sigchld) == decision(machine, number, thread) == ALLOWED
    for flag in NAMESPACES:
        assert decision(machine, number, flag | sigchld) == refused(errno.EPERM), hex(flag)
    for bit in set(range(32)) - {17, 25, 26, 27, 28, 29, 30}:
        assert decision(machine, number, 1 << bit) == ALLOWED, bit


@pytest.mark.parametrize("machine", MACHINES)
def test_mmap_gives_memory_that_ends_with_its_mapping(machine):
    number, shared, private, anonymous, huge = MMAP[machine], 0x01, 0x02, 0x20, 0x40000

    def answer(flags: int) -> int:
        return decision(machine, number, 0, 4096, 3, flags, 0xFFFF_FFFF, 0)

    assert answer(private | anonymous) == answer(private) == answer(shared) == ALLOWED
    assert answer(shared | anonymous) == refused(errno.ENOMEM)
    assert answer(private | anonymous | huge) == answer(shared | huge) == refused(errno.ENOMEM)


@pytest.mark.parametrize("machine", MACHINES)
def test_sockets_stay_within_the_network_namespace(machine):
    for family in range(46):
        allowed = family in (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6
        expected = ALLOWED if allowed else refused(errno.EAFNOSUPPORT)
        assert decision(machine, SOCKET[machine], family, 1, 0) == expected
