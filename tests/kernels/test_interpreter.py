"""What the library knows of Triton's interpreter holds for the Triton that is here.

``benchmarks/versions.py`` runs this with the lowest and the newest Triton too.
"""

from types import SimpleNamespace

import pytest
import torch

from zoology_teach.kernels import interpreter, smallest


@pytest.fixture(autouse=True)
def nothing_remembered():
    interpreter.failure.cache_clear()
    yield
    interpreter.failure.cache_clear()


def pretend(monkeypatch, function, version="9.0"):
    """As if Triton's own functions were like `function`."""
    monkeypatch.setattr(interpreter, "tl", SimpleNamespace(zeros=function))
    monkeypatch.setattr(interpreter, "triton", SimpleNamespace(__version__=version))
    monkeypatch.setattr(interpreter, "HAS_TRITON", True)


def test_it_is_seen_whether_kernels_are_interpreted(device):
    assert interpreter.interpreting() == (device == "cpu")


def test_a_kernel_with_a_known_answer_runs(device):
    assert smallest.sum_is_right()
    assert interpreter.failure() == ""


def test_lanes_that_are_masked_store_nothing(device):
    x, out = torch.arange(4.0, device=device), torch.zeros(4, device=device)
    smallest.add[(1,)](x, x, out, 3, BLOCK=4)
    assert out.tolist() == [0, 2, 4, 0]


def test_a_triton_of_another_make_is_refused_clearly(monkeypatch):
    class Unheard:
        pass

    pretend(monkeypatch, Unheard())
    with pytest.raises(ValueError, match=r"triton = '9.0': must be one whose functions are JITFu"):
        interpreter.interpreting()
    assert interpreter.failure().startswith("Triton 9.0 runs no kernel here: triton = '9.0'")


def test_a_wrong_sum_is_told(monkeypatch):
    monkeypatch.setattr(smallest, "sum_is_right", lambda: False)
    assert interpreter.failure().endswith("runs a kernel here, but its sum is wrong")


def test_a_switch_that_came_too_late_is_told(monkeypatch):
    class JITFunction:
        pass

    pretend(monkeypatch, JITFunction())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "TRITON_INTERPRET=1 was not set before Triton was imported" in interpreter.failure()


def test_without_triton_a_notebook_stops_with_a_sentence(monkeypatch):
    monkeypatch.setattr(interpreter, "HAS_TRITON", False)
    assert interpreter.interpreting() is False
    with pytest.raises(interpreter.NoTriton, match="published for Linux only") as stopped:
        interpreter.stop_without_triton()
    (shown,) = stopped.value._render_traceback_()
    assert "the outputs below are those it came with" in shown and "\n" not in shown


def test_with_triton_nothing_stops():
    assert interpreter.stop_without_triton() is None
