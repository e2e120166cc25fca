"""What a Mac's GPU has not: float64. A tensor that refuses it stands for one there."""

import pytest
import torch

from zoology_teach.constructions import memory
from zoology_teach.grading import check
from zoology_teach.grading.ladder import expect
from zoology_teach.mixers import MIXERS
from zoology_teach.training import History

DOUBLE = (torch.float64, torch.complex128)


class Mps(torch.Tensor):
    """Computes on the CPU; of float64 it says what PyTorch says on such a device."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function == torch.Tensor.is_mps.__get__:
            return True
        found = super().__torch_function__(function, types, args, kwargs or {})
        if function is torch.Tensor.cpu:
            return found.as_subclass(torch.Tensor)
        if isinstance(found, Mps) and found.dtype in DOUBLE:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return found


def on_mps(x: torch.Tensor) -> torch.Tensor:
    return x.as_subclass(Mps)


def test_the_stand_in_refuses_float64():
    x = on_mps(torch.ones(2))
    assert (x + 1).tolist() == [2, 2] and x.cpu().double().tolist() == [1, 1]
    with pytest.raises(TypeError, match="Cannot convert a MPS Tensor to float64"):
        x.double()


@pytest.mark.parametrize("name", sorted(MIXERS))
def test_every_mixer_needs_no_float64(name):
    torch.manual_seed(0)
    mixer = MIXERS[name](16)
    u = torch.randn(2, 8, 16)
    torch.testing.assert_close(mixer(on_mps(u)).cpu(), mixer(u))
    if mixer.has_step:
        y, _ = mixer.step(on_mps(u[:, 0]))
        assert y.shape == (2, 16)


def test_flops_by_the_rows_that_ask_are_counted():
    mixer = MIXERS["sparse_attention"](16)
    asks = (torch.arange(8) % 2).float()[None]
    assert mixer.flops(8, on_mps(asks)) == mixer.flops(8, asks)


def test_an_answer_on_the_gpu_is_judged():
    expect(on_mps(torch.tensor([1.0, 2.0])), torch.tensor([1.0, 2.0]))
    with pytest.raises(AssertionError, match=r"at \[1\] you return 2, expected 3"):
        expect(on_mps(torch.tensor([1.0, 2.0])), torch.tensor([1.0, 3.0]))


@pytest.fixture
def another_default_device():
    torch.set_default_device("meta")  # which holds no numbers
    yield
    torch.set_default_device(None)


def test_what_needs_float64_stays_on_the_cpu(another_default_device):
    assert MIXERS["sparse_attention"](16).flops(8) > 0
    assert memory.predicted_accuracy(16, 2, 8) > 0
    assert History().state()["records"].device.type == "cpu"


def test_a_check_draws_and_judges_on_the_cpu(another_default_device):
    report = check("03.a", lambda *arguments: torch.zeros(1))
    assert "meta" not in repr(report) and "cannot be judged" not in repr(report)
