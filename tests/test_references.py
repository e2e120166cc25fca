"""What runs where no kernel does: each operation against its definition, one number at a time."""

import math
from types import SimpleNamespace

import pytest
import torch

from tests.kernels.every_kernel import EVERY
from zoology_teach import kernels
from zoology_teach.kernels import dispatch, interpreter
from zoology_teach.kernels.base_conv import base_conv
from zoology_teach.kernels.flash_attention import attention
from zoology_teach.kernels.long_conv import long_conv
from zoology_teach.kernels.scan import linear_scan
from zoology_teach.kernels.short_conv import short_conv
from zoology_teach.kernels.sparse_attention import sparse_attention

B, N, D = 2, 5, 3


@pytest.fixture(autouse=True)
def no_kernel_runs(monkeypatch):
    def launch(kernel, *_, **__):
        pytest.fail(f"{kernel} was launched")

    for module in vars(kernels).values():
        if hasattr(module, "launch"):
            monkeypatch.setattr(module, "launch", launch)


def draw(*shapes) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]


def close(found, wanted) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


def convolved(u, filter):
    """sum_{l < k} filter[d, l] u[b, t - l, d]."""
    y = torch.zeros_like(u)
    for t in range(u.shape[1]):
        for lag in range(min(filter.shape[1], t + 1)):
            y[:, t] += filter[:, lag] * u[:, t - lag]
    return y


def attended(q, k, v, seen):
    """A softmax over the tokens that `seen` names for a row; 0 where it names none."""
    out = torch.zeros_like(q)
    for b, h, i in torch.cartesian_prod(*map(torch.arange, q.shape[:3])).tolist():
        tokens = seen(b, i)
        if tokens:
            scores = k[b, h, tokens] @ q[b, h, i] / math.sqrt(q.shape[3])
            out[b, h, i] = scores.softmax(0) @ v[b, h, tokens]
    return out


@pytest.mark.parametrize("taps", [1, 3, 9])
def test_the_short_convolution_with_and_without_bias_and_gate(taps):
    u, filter, bias, gate = draw((B, N, D), (D, taps), (D,), (B, N, D))
    plain = convolved(u, filter)
    close(short_conv(u, filter), plain)
    close(short_conv(u, filter, bias), plain + bias)
    close(short_conv(u, filter, gate=gate), plain * gate)
    close(short_conv(u, filter, bias, gate, impl="reference"), (plain + bias) * gate)


def test_base_conv_is_a_projection_times_a_convolution():
    u, weight, b1, filter, b2 = draw((B, N, D), (D, D), (D,), (D, 2), (D,))
    close(base_conv(u, weight, b1, filter, b2), (u @ weight.T + b1) * (convolved(u, filter) + b2))


def test_the_long_convolution_by_its_sum():
    u, h = draw((B, N, D), (D, N))
    close(long_conv(u.mT.contiguous(), h), convolved(u, h).mT)


def test_the_scan_step_by_step():
    a, x, s0 = draw((B, N, D), (B, N, D), (B, D))
    for given, state in ((None, torch.zeros(B, D)), (s0, s0)):
        states = []
        for t in range(N):
            state = a[:, t] * state + x[:, t]
            states.append(state)
        close(linear_scan(a, x, given), torch.stack(states, 1))
    close(linear_scan(a[:, :0], x[:, :0]), x[:, :0])
    close(linear_scan(a[:0], x[:0], s0[:0]), x[:0])


@pytest.mark.parametrize("window", [None, 1, 3, 9])
def test_attention_sees_its_window(window):
    q, k, v = draw(*[(B, 2, N, D)] * 3)

    def seen(b, t):
        return list(range(0 if window is None else max(0, t - window + 1), t + 1))

    close(attention(q, k, v, window), attended(q, k, v, seen))


def test_selected_rows_see_their_past_and_an_unused_slot_nothing():
    q, k, v = draw((B, 2, 4, D), (B, 2, N, D), (B, 2, N, D))
    positions = torch.tensor([[4, 0, -1, 0], [2, 3, 1, -1]])
    wanted = attended(q, k, v, lambda b, i: list(range(int(positions[b, i]) + 1)))
    close(sparse_attention(q, k, v, positions), wanted)
    close(sparse_attention(q, k, v, positions.int()), wanted)


WRONG = [
    ("u shape", lambda: short_conv(torch.ones(2, 3), torch.ones(3, 2))),
    ("u shape", lambda: short_conv(torch.ones(1, 2, 0), torch.ones(0, 2))),
    ("filter shape", lambda: short_conv(torch.ones(1, 2, 3), torch.ones(2, 2))),
    ("filter shape", lambda: short_conv(torch.ones(1, 2, 3), torch.ones(3, 0))),
    ("filter shape", lambda: short_conv(torch.ones(1, 2, 3), torch.ones(3))),
    ("filter shape", lambda: short_conv(torch.ones(1, 2, 3), torch.ones(3, 9), impl="triton")),
    ("bias shape", lambda: short_conv(torch.ones(1, 2, 3), torch.ones(3, 1), torch.ones(1))),
    ("gate shape", lambda: short_conv(*EVERY["short_conv"].draw()[:3], torch.ones(1))),
    ("weight shape", lambda: base_conv(*conv(weight=torch.ones(3, 2)))),
    ("bias_proj shape", lambda: base_conv(*conv(bias_proj=torch.ones(2)))),
    ("bias_conv shape", lambda: base_conv(*conv(bias_conv=torch.ones(2)))),
    ("u shape", lambda: long_conv(torch.ones(3, 4), torch.ones(3, 4))),
    ("u shape", lambda: long_conv(torch.ones(1, 0, 4), torch.ones(0, 4))),
    ("h shape", lambda: long_conv(torch.ones(1, 3, 4), torch.ones(3, 5))),
    ("a shape", lambda: linear_scan(torch.ones(1, 2, 2), torch.ones(1, 2, 3))),
    ("x shape", lambda: linear_scan(torch.ones(2, 3), torch.ones(2, 3))),
    ("x shape", lambda: linear_scan(torch.ones(1, 2, 0), torch.ones(1, 2, 0))),
    ("s0 shape", lambda: linear_scan(torch.ones(1, 2, 3), torch.ones(1, 2, 3), torch.ones(3))),
    ("q shape", lambda: attention(*[torch.ones(2, 3, 4)] * 3)),
    ("q shape", lambda: attention(*[torch.ones(1, 2, 3, 0)] * 3)),
    ("q shape", lambda: attention(*[torch.ones(1, 1, 2, 129)] * 3, impl="triton")),
    ("k shape", lambda: attention(torch.ones(1, 1, 2, 3), *[torch.ones(1, 1, 4, 3)] * 2)),
    ("v shape", lambda: attention(*[torch.ones(1, 1, 2, 3)] * 2, torch.ones(1, 1, 2, 4))),
    ("k shape", lambda: sparse_attention(*rows(k=(1, 2, 5, 3)), torch.zeros(1, 2).long())),
    ("positions shape", lambda: sparse_attention(*rows(), torch.zeros(1, 3).long())),
    ("positions dtype", lambda: sparse_attention(*rows(), torch.zeros(1, 2))),
    ("positions", lambda: sparse_attention(*rows(), torch.tensor([[5, 0]]))),
]


def conv(**changed):
    names = ("u", "weight", "bias_proj", "filter", "bias_conv")
    shapes = ((1, 2, 3), (3, 3), (3,), (3, 2), (3,))
    given = {name: torch.ones(shape) for name, shape in zip(names, shapes, strict=True)}
    return (given | changed).values()


def rows(k=(1, 1, 5, 3)):
    return torch.ones(1, 1, 2, 3), torch.ones(k), torch.ones(1, 1, 5, 3)


@pytest.mark.parametrize(("named", "call"), WRONG)
def test_what_does_not_fit_is_named(named, call):
    with pytest.raises(ValueError, match=f"^{named} = "):
        call()


def test_the_last_token_may_be_selected_and_none_beyond():
    q, k, v = rows()
    at_the_end = sparse_attention(q, k, v, torch.tensor([[4, 4]]))
    close(at_the_end, torch.ones(1, 1, 2, 3))


class JITFunction:
    """As Triton names what it compiles."""


class InterpretedFunction:
    """As it names what its interpreter runs."""


def test_the_class_of_tritons_own_functions_says_how_kernels_run(monkeypatch):
    def of(kind):
        monkeypatch.setattr(interpreter, "HAS_TRITON", True)
        monkeypatch.setattr(interpreter, "tl", SimpleNamespace(zeros=kind()))
        return interpreter.interpreting()

    assert of(InterpretedFunction) is True and of(JITFunction) is False
    monkeypatch.setattr(interpreter, "triton", SimpleNamespace(__version__="9.9"))
    with pytest.raises(ValueError, match=r"triton = '9\.9': must be one whose functions are JITF"):
        of(object)
    monkeypatch.setattr(interpreter, "HAS_TRITON", False)
    assert interpreter.interpreting() is False


def test_without_an_interpreter_and_a_gpu_only_triton_itself_is_refused(monkeypatch):
    u = torch.ones(1)
    monkeypatch.setattr(dispatch, "HAS_TRITON", True)
    monkeypatch.setattr(dispatch, "interpreting", lambda: False)
    for impl in ("auto", "reference"):
        assert not dispatch.uses_triton(impl, False, u=u)
    with pytest.raises(ValueError, match="impl = 'triton': must be 'auto' or 'reference' for CPU"):
        dispatch.uses_triton("triton", True, u=u)
    monkeypatch.setattr(dispatch, "interpreting", lambda: True)
    assert dispatch.uses_triton("triton", False, u=u)
    assert dispatch.uses_triton("auto", True, u=u)


@pytest.mark.skipif(not interpreter.HAS_TRITON, reason="published for Linux only")
def test_the_smallest_kernel_says_whether_its_sum_is_right(monkeypatch):
    smallest = pytest.importorskip("zoology_teach.kernels.smallest")

    def grid_of(adds):
        def kernel(x, y, out, n, BLOCK):
            assert n == len(x) == 100 and BLOCK == 64, "no multiple of a power of two"
            out.copy_(adds(x, y))

        return {(2,): kernel}

    for adds, is_right in ((torch.add, True), (torch.sub, False)):
        monkeypatch.setattr(smallest, "add", grid_of(adds))
        assert smallest.sum_is_right() is is_right
