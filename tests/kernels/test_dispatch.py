"""Which implementation runs, and the one clear error for what cannot run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.kernels.every_kernel import EVERY
from zoology_teach import kernels
from zoology_teach.kernels import dispatch
from zoology_teach.kernels.dispatch import alike, must_widen, runs_on, uses_triton


def test_auto_takes_triton_where_a_kernel_takes_the_tensors(device):
    u = torch.zeros(1, device=device)
    assert uses_triton("auto", True, u=u) and not uses_triton("auto", False, u=u)


def test_a_named_implementation_is_taken(device):
    u = torch.zeros(1, device=device)
    assert uses_triton("triton", False, u=u, bias=None)
    assert not uses_triton("reference", True, u=u, bias=None)


def test_kernels_run_on_a_gpu_and_on_floats(device, monkeypatch):
    assert runs_on(torch.zeros(1, device=device)) == (device == "cuda")
    assert not runs_on(torch.zeros(1))
    monkeypatch.setattr(dispatch, "on_gpu", lambda x: True)
    for dtype in dispatch.FLOATS:
        assert runs_on(torch.zeros(1, dtype=dtype))
    for dtype in (torch.int64, torch.bool, torch.complex64):
        assert not runs_on(torch.zeros(1, dtype=dtype))
    monkeypatch.setattr(dispatch, "HAS_TRITON", False)
    assert not runs_on(torch.zeros(1))


def test_each_kernel_takes_its_sizes_only(monkeypatch):
    """The last size that it takes, and the first that it does not."""
    u = torch.zeros(1, 4, 3)
    cases = [
        (kernels.short_conv.takes, u, torch.zeros(3, 8), torch.zeros(3, 9)),
        (kernels.base_conv.takes, u, torch.zeros(3, 8), torch.zeros(3, 9)),
        (kernels.flash_attention.takes, u, 128, 129),
        (kernels.sparse_attention.takes, u, 128, 129),
    ]
    for takes, x, last, _ in cases:
        assert not takes(x, last), "without a GPU"
    monkeypatch.setattr(dispatch, "on_gpu", lambda x: True)
    for takes, x, last, beyond in cases:
        assert takes(x, last) and not takes(x, beyond)
    assert kernels.scan.takes(u)


@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_what_no_kernel_takes_needs_no_triton(monkeypatch, impl):
    monkeypatch.setattr(dispatch, "HAS_TRITON", False)
    assert not uses_triton(impl, False, u=torch.zeros(1))


def test_triton_that_is_not_installed_is_an_error(monkeypatch):
    monkeypatch.setattr(dispatch, "HAS_TRITON", False)
    with pytest.raises(ValueError, match=r"^impl = .* not installed"):
        uses_triton("triton", True, u=torch.zeros(1))


@pytest.mark.parametrize(
    "message, impl, tensors",
    [
        ("impl = 'cuda': must be one of", "cuda", {}),
        ("u dtype = torch.int64", "auto", {"u": torch.zeros(2, dtype=torch.int64)}),
        ("u dtype = torch.complex64", "auto", {"u": torch.zeros(2, dtype=torch.complex64)}),
        ("filter dtype = .* must be u's", "reference", {"filter": torch.zeros(2).half()}),
        ("filter device = .* must be u's", "auto", {"filter": torch.zeros(2, device="meta")}),
    ],
)
def test_wrong_use_names_the_argument(message, impl, tensors):
    with pytest.raises(ValueError, match="^" + message):
        uses_triton(impl, False, **{"u": torch.zeros(2), **tensors})


ROOT = Path(__file__).parents[2]
CPU_TENSORS = """
from tests.kernels.every_kernel import EVERY
for name, (function, _) in EVERY.items():
    inputs = EVERY[name].draw()
    assert function(*inputs, impl="auto").isfinite().all()
    try:
        function(*inputs, impl="triton")
    except ValueError as error:
        print(name, error)
"""


def test_triton_on_cpu_tensors_needs_the_interpreter():
    environment = {**os.environ, "TRITON_INTERPRET": "0", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", CPU_TENSORS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(EVERY)
    for line in lines:
        assert "impl = 'triton': must be 'auto' or 'reference'" in line
        assert "TRITON_INTERPRET=1" in line


def test_launches_on_the_device_of_the_tensors(monkeypatch):
    """Not on the current one, where the machine has several."""
    entered = []

    class Guard:
        def __init__(self, x):
            self.x = x

        def __enter__(self):
            entered.append(self.x)

        def __exit__(self, *_):
            entered.append("left")

    monkeypatch.setattr(torch.cuda, "device_of", Guard)
    kernel = {(7,): lambda *arguments, **constants: entered.append((arguments, constants))}
    u = torch.zeros(1)
    dispatch.launch(kernel, (7,), u, 3, BLOCK=64)
    assert entered == [u, ((u, 3), {"BLOCK": 64}), "left"]


def test_autocast_decides_the_dtype_except_of_float64():
    x, y = torch.zeros(1), torch.zeros(1, dtype=torch.float64)
    assert [z.dtype for z in alike(x, y)] == [torch.float32] * 2
    with torch.autocast("cpu", torch.bfloat16):
        assert [z.dtype for z in alike(x, y)] == [torch.bfloat16] * 2
        assert [z.dtype for z in alike(y, x)] == [torch.float64] * 2


def test_only_interpreted_bfloat16_is_widened(device):
    u = torch.zeros(1, device=device)
    assert must_widen(u.bfloat16()) == dispatch.interpreting()
    assert not must_widen(u.half()) and not must_widen(u)
