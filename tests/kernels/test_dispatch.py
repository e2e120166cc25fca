"""Which implementation runs, and the one clear error for what cannot run."""

import os
import subprocess
import sys

import pytest
import torch

from zoology_teach.kernels import dispatch
from zoology_teach.kernels.dispatch import must_widen, uses_triton


def test_auto_takes_triton_on_a_gpu_only(device):
    assert uses_triton("auto", u=torch.zeros(1, device=device)) == (device == "cuda")
    assert not uses_triton("auto", u=torch.zeros(1))


def test_a_named_implementation_is_taken(device):
    u = torch.zeros(1, device=device)
    assert uses_triton("triton", u=u, bias=None)
    assert not uses_triton("reference", u=u, bias=None)


@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_what_is_no_gpu_tensor_needs_no_triton(monkeypatch, impl):
    monkeypatch.setattr(dispatch, "HAS_TRITON", False)
    assert not uses_triton(impl, u=torch.zeros(1))


def test_triton_that_is_not_installed_is_an_error(monkeypatch):
    monkeypatch.setattr(dispatch, "HAS_TRITON", False)
    with pytest.raises(ValueError, match=r"^impl = .* not installed"):
        uses_triton("triton", u=torch.zeros(1))


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
        uses_triton(impl, **{"u": torch.zeros(2), **tensors})


CPU_TENSOR = """
import torch
from zoology_teach.kernels.short_conv import short_conv
u, filter = torch.zeros(1, 2, 3), torch.zeros(3, 2)
assert short_conv(u, filter).shape == u.shape
try:
    short_conv(u, filter, impl="triton")
except ValueError as error:
    print(error)
"""


def test_triton_on_cpu_tensors_needs_the_interpreter():
    environment = {**os.environ, "TRITON_INTERPRET": "0"}
    command = [sys.executable, "-c", CPU_TENSOR]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("impl = 'triton': must be 'auto' or 'reference'")
    assert "TRITON_INTERPRET=1" in done.stdout


def test_only_interpreted_bfloat16_is_widened(device):
    u = torch.zeros(1, device=device)
    assert must_widen(u.bfloat16()) == dispatch.interpreting()
    assert not must_widen(u.half()) and not must_widen(u)
