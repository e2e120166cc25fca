"""LongConv, S4D, H3 and Hyena: each against its definition, written out another way."""

import cmath
import math

import pytest
import torch
from torch import nn
from torch.nn.functional import gelu

from zoology_teach.mixers.h3 import H3
from zoology_teach.mixers.hyena import Hyena
from zoology_teach.mixers.long_conv import LongConv
from zoology_teach.mixers.s4d import S4D, DiagonalSSM

ALL = {
    "long_conv": (LongConv, {"max_len": 40}),
    "s4d": (S4D, {"d_state": 6}),
    "h3": (H3, {"d_state": 6, "shift_taps": 3}),
    "h3, no shift": (H3, {"d_state": 2, "shift_taps": 1}),
    "hyena": (Hyena, {"max_len": 40}),
}
RECURRENT = [name for name in ALL if name.startswith(("s4d", "h3"))]


def make(name: str, d_model: int = 6) -> nn.Module:
    """In float64, with every bias and skip off zero and larger weights than at the start."""
    torch.manual_seed(0)
    kind, options = ALL[name]
    mixer = kind(d_model, **options).double()
    for parameter in mixer.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return mixer


def u(n: int, batch: int = 2, d_model: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(n)
    return torch.randn(batch, n, d_model, generator=generator, dtype=torch.float64)


def direct_conv(h: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """y[b, t, d] = sum_{s<=t} h[d, t-s] x[b, s, d], one pair (s, t) after the other."""
    y = torch.zeros_like(x)
    for t in range(x.shape[1]):
        for s in range(max(0, t - h.shape[1] + 1), t + 1):
            y[:, t] += h[:, t - s] * x[:, s]
    return y


@torch.no_grad()
def unrolled_ssm(ssm: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The diagonal recurrence in Python numbers, with all modes, the conjugates too."""
    y = torch.zeros_like(x)
    for d in range(x.shape[2]):
        dt, skip = math.exp(ssm.log_dt[d]), float(ssm.skip[d])
        modes = []
        for n in range(ssm.frequency.shape[1]):
            a = complex(-math.exp(ssm.log_decay[d, n]), float(ssm.frequency[d, n]))
            c = complex(*ssm.C[d, n].tolist())
            modes += [(a, c), (a.conjugate(), c.conjugate())]
        for b in range(x.shape[0]):
            state = [0j] * len(modes)
            for t in range(x.shape[1]):
                token = float(x[b, t, d])
                for i, (a, _) in enumerate(modes):
                    a_bar = cmath.exp(dt * a)
                    state[i] = a_bar * state[i] + (a_bar - 1) / a * token
                total = sum(c * s for (_, c), s in zip(modes, state, strict=True))
                assert abs(total.imag) < 1e-9, "conjugate pairs make a real output"
                y[b, t, d] = total.real + skip * token
    return y


@pytest.mark.parametrize("n", [1, 2, 9])
def test_long_conv_by_definition(n):
    mixer, x = make("long_conv"), u(n)
    conv = direct_conv(mixer.explicit_filter, x) + mixer.skip * x
    assert torch.allclose(mixer(x), mixer.out(gelu(conv)), atol=1e-10)


@pytest.mark.parametrize("n", [1, 2, 9])
def test_s4d_by_its_recurrence(n):
    mixer, x = make("s4d"), u(n)
    assert torch.allclose(mixer(x), mixer.out(gelu(unrolled_ssm(mixer.ssm, x))), atol=1e-10)


@pytest.mark.parametrize("name", ["h3", "h3, no shift"])
@pytest.mark.parametrize("n", [1, 2, 9])
def test_h3_by_its_recurrence(name, n):
    mixer, x = make(name), u(n)
    q, k, v = mixer.query(x), mixer.key(x), mixer.value(x)
    memory = unrolled_ssm(mixer.diagonal, direct_conv(mixer.shift.filter, k) * v)
    assert torch.allclose(mixer(x), mixer.out(q * memory), atol=1e-10)


@pytest.mark.parametrize("n", [1, 2, 9])
def test_hyena_by_definition(n):
    mixer, x = make("hyena"), u(n)
    projected = (mixer.value(x), mixer.gate1(x), mixer.gate2(x))
    v, x1, x2 = (direct_conv(c.filter, p) for c, p in zip(mixer.short, projected, strict=True))
    (h1, h2), (d1, d2) = (f(n) for f in mixer.filters), mixer.skips
    z = x1 * (direct_conv(h1, v) + d1 * v)
    expected = mixer.out(x2 * (direct_conv(h2, z) + d2 * z))
    assert torch.allclose(mixer(x), expected, atol=1e-10)


@pytest.mark.parametrize("n", [1, 2, 3, 16, 17, 200])
def test_s4d_kernel_against_the_vandermonde_sum(n):
    ssm = make("s4d").ssm
    log_a_bar, b_bar, c = ssm.discretise()
    vandermonde = torch.exp(log_a_bar[..., None] * torch.arange(n))
    expected = 2 * torch.einsum("ds,dsl->dl", c * b_bar, vandermonde).real
    expected[:, 0] += ssm.skip
    assert torch.allclose(ssm.kernel(n), expected, atol=1e-12)


def test_s4d_starts_as_s4d_lin_and_float32_is_enough():
    mixer = S4D(4, d_state=8)
    log_a_bar, _, _ = mixer.ssm.discretise()
    dt = mixer.ssm.log_dt.exp()
    assert ((dt >= 0.000999) & (dt <= 0.1001)).all()
    a = log_a_bar / dt[:, None]
    expected = torch.complex(torch.full((4,), -0.5), math.pi * torch.arange(4.0))
    assert torch.allclose(a, expected.expand(4, 4), atol=1e-4)
    single = mixer.ssm.kernel(1024)
    assert torch.allclose(single, mixer.double().ssm.kernel(1024).float(), atol=1e-3)


def test_a_start_as_a_sum_is_one_mode_that_hardly_fades():
    torch.manual_seed(0)
    ssm = DiagonalSSM(4, 8)
    before = {name: value.detach().clone() for name, value in ssm.named_parameters()}
    ssm.start_as_sum()
    assert torch.allclose(ssm.C[:, 1:], 0.02 * before["C"][:, 1:])
    assert torch.equal(ssm.log_decay[:, 1:], before["log_decay"][:, 1:])
    assert torch.equal(ssm.log_dt, before["log_dt"]) and not ssm.skip.any()
    ssm.C.data[:, 1:] = 0
    fading = torch.exp(-0.01 * ssm.log_dt.exp()[:, None] * torch.arange(50))
    assert torch.allclose(ssm.kernel(50), fading, atol=1e-5), "K_l is near 1"


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("n", [1, 2, 33])
def test_step_by_step_is_the_parallel_form(name, n):
    mixer, x, state, steps = make(name), u(n), None, []
    for t in range(n):
        y_t, state = mixer.step(x[:, t], state)
        steps.append(y_t)
    assert torch.allclose(torch.stack(steps, 1), mixer(x), atol=1e-8, rtol=0)


@pytest.mark.parametrize("name", RECURRENT)
def test_the_state_is_as_large_as_it_says(name):
    mixer, x, state = make(name), u(5), None
    for t in range(5):
        _, state = mixer.step(x[:, t], state)
    parts = state if isinstance(state, tuple) else (state,)
    floats = sum(torch.view_as_real(p).numel() if p.is_complex() else p.numel() for p in parts)
    assert floats == 2 * mixer.state_size(5), "two sequences"
    assert mixer.state_size(5) == mixer.state_size(500)


@pytest.mark.parametrize("name", ["long_conv", "hyena"])
def test_without_a_recurrence_the_state_grows(name):
    mixer = make(name)
    assert mixer.state_size(40) - mixer.state_size(39) >= 6
    assert not mixer.has_step
    with pytest.raises(ValueError, match=f"mixer = '{type(mixer).__name__}': must be one with a"):
        mixer.step(u(1)[:, 0])


@pytest.mark.parametrize("name", ALL)
def test_causal(name):
    mixer, x = make(name), u(23)
    y = mixer(x)
    for t in (0, 5, 21):
        changed = x.clone()
        changed[:, t + 1 :] += 1.0
        assert torch.allclose(mixer(changed)[:, : t + 1], y[:, : t + 1], atol=1e-10)
        assert not torch.allclose(mixer(changed), y, atol=1e-3), "the change is seen somewhere"


@pytest.mark.parametrize("name", ALL)
def test_rows_asked_for_are_the_rows_of_the_whole(name):
    mixer, x = make(name), u(20)
    positions = torch.tensor([[0, 3, 19], [7, 7, 1]])
    expected = mixer(x).gather(1, positions[..., None].expand(-1, -1, 6))
    assert torch.allclose(mixer(x, positions), expected, atol=1e-12)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("n", [1, 2, 7])
def test_gradients_of_input_and_weights(name, n):
    mixer = make(name, d_model=3)
    names, values = zip(*mixer.named_parameters(), strict=True)

    def call(x, *weights):
        return torch.func.functional_call(mixer, dict(zip(names, weights, strict=True)), (x,))

    x = u(n, batch=1, d_model=3).requires_grad_()
    assert torch.autograd.gradcheck(call, (x, *values), fast_mode=True)


@pytest.mark.parametrize("name", ALL)
def test_costs_are_counted(name):
    mixer = make(name)
    assert mixer.flops(40) > mixer.flops(20) > 0
    assert mixer.state_size(40) >= mixer.state_size(4) > 0


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda: LongConv(0), "d_model = 0"),
        (lambda: LongConv(4, max_len=0), "max_len = 0"),
        (lambda: LongConv(4, max_len=3)(torch.zeros(1, 4, 4)), "sequence length = 4"),
        (lambda: S4D(0), "d_model = 0"),
        (lambda: S4D(4, d_state=0), "d_state = 0"),
        (lambda: S4D(4, d_state=5), "d_state = 5"),
        (lambda: H3(0), "d_model = 0"),
        (lambda: H3(4, d_state=3), "d_state = 3"),
        (lambda: H3(4, shift_taps=0), "shift_taps = 0"),
        (lambda: Hyena(0), "d_model = 0"),
        (lambda: Hyena(4, max_len=True), "max_len = True"),
        (lambda: Hyena(4, kernel_size=0), "kernel_size = 0"),
        (lambda: Hyena(4, max_len=3)(torch.zeros(1, 4, 4)), "sequence length = 4"),
    ],
)
def test_bad_options_name_the_argument(build, named):
    with pytest.raises(ValueError) as error:
        build()
    assert named in str(error.value)
