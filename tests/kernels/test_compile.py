"""Every shipped configuration compiles for real GPUs, within their registers and shared memory."""

import json
import os
import subprocess
import sys

import pytest

from tests.kernels import compile_kernels
from tests.kernels.compile_kernels import FAMILIES, SHARED_LIMIT
from zoology_teach.kernels.dispatch import HAS_TRITON


@pytest.mark.skipif(not HAS_TRITON, reason="triton is published for Linux only")
@pytest.mark.parametrize("family", FAMILIES)
def test_compiles_without_spills(family):
    environment = {**os.environ, "TRITON_INTERPRET": "0"}
    command = [sys.executable, compile_kernels.__file__, family]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(reports) == sum(len(config.targets) for config in FAMILIES[family])
    wanted = [config.matmul for config in FAMILIES[family] for _ in config.targets]
    for report, matmul in zip(reports, wanted, strict=True):
        assert report["spills"] == 0, report
        assert report["shared"] <= SHARED_LIMIT[report["capability"]], report
        if matmul and report["capability"] == 90:
            assert report["wgmma"], report
