"""What an update frees is at hand for the next one."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
from zoology_teach.training.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    [bytearray(8 << 20) for _ in range(10)]  # like the tensors of an update: all there, all freed
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
without = faults()
keep_freed_memory()
faults()
print(without, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_freed_memory_is_not_paged_in_again():
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True
    )
    without, kept = map(int, done.stdout.split())
    assert kept < without / 10
