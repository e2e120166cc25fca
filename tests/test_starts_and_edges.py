"""How large random weights start, and edges that a mixer's usual use does not reach."""

import math
import re

import numpy as np
import pytest
import torch

from zoology_teach.kernels import long_conv
from zoology_teach.mixers import MIXERS, convolution
from zoology_teach.mixers.implicit_filter import ImplicitFilter
from zoology_teach.mixers.mixer import start_projections
from zoology_teach.mixers.scan import linear_scan
from zoology_teach.mixers.selections import Learned, Random
from zoology_teach.tasks.ngram import as_tokens


@pytest.mark.parametrize("taps", [1, 4, 25])
def test_usual_filters_shrink_with_the_root_of_their_taps(taps):
    """The short one uniform, as PyTorch starts a convolution; the long one normal."""
    torch.manual_seed(0)
    short = MIXERS["base_conv"](500, kernel_size=taps).explicit_filter
    assert 0.98 * taps**-0.5 < short.max() <= taps**-0.5 and short.min() >= -(taps**-0.5)
    assert short.std().item() == pytest.approx((3 * taps) ** -0.5, rel=0.1)
    long = MIXERS["base_conv"](500, filter="long", max_len=taps).explicit_filter
    assert long.std().item() == pytest.approx(taps**-0.5, rel=0.1)
    assert abs(long.mean().item()) < 0.2 * taps**-0.5


@pytest.mark.parametrize(("d", "expand"), [(64, 1), (32, 2), (256, 1)])
def test_mambas_start_as_linear_attention(d, expand):
    """One projection for B and C, of variance 1/E, so that q·k of equal tokens is near its size."""
    torch.manual_seed(0)
    mixer = MIXERS["mamba"](d, expand=expand, init="identity")
    _, b, c = mixer.select.weight.split([mixer.dt_rank, 16, 16])
    shared = (b + c) / 2
    assert shared.std().item() == pytest.approx((d * expand) ** -0.5, rel=0.15)
    assert torch.allclose(mixer.log_a.exp(), torch.tensor(0.01))
    steps = torch.nn.functional.softplus(mixer.dt.bias)
    assert torch.allclose(steps, torch.ones_like(steps))
    x = mixer.project_in.weight[: d * expand]
    assert x.diagonal().mean().item() == pytest.approx(1, abs=0.05)


def test_rwkvs_start_is_spread_over_its_channels():
    """Decays from e^-5 to e^3, a bonus that differs between neighbours, as RWKV-4 has them."""
    mixer, at = MIXERS["rwkv"](5), torch.linspace(0, 1, 5)
    assert torch.allclose(mixer.log_decay, -5 + 8 * at)
    third = torch.tensor([-0.5, 0.0, 0.5, -0.5, 0.0])
    assert torch.allclose(mixer.bonus, math.log(0.3) + third)
    assert torch.allclose(mixer.mix, torch.stack([at.sqrt(), at, at]))
    by_hand = MIXERS["rwkv"](2, init="identity")
    assert by_hand.log_decay.tolist() == [-6, -6] and by_hand.bonus.tolist() == [-2, -2]
    assert by_hand.mix.tolist() == [[1, 1], [0, 0], [1, 1]]
    assert (by_hand.receptance.weight.diagonal() > 1.8).all(), "twice the identity"


@pytest.mark.parametrize("name", sorted(set(MIXERS) - {"mamba"}))
def test_projections_start_small_and_without_a_bias(name):
    """Normal with std 0.02, as GPT-2's. Mamba selects by projections with starts of their own."""
    torch.manual_seed(0)
    mixer = MIXERS[name](64)
    inner, out = mixer.projections()
    for projection in (*inner, *((out,) if out is not None else ())):
        assert projection.weight.std().item() == pytest.approx(0.02, rel=0.1)
        assert projection.bias is None or not projection.bias.any()


@pytest.mark.parametrize("name", MIXERS)
def test_one_channel_of_one_token_is_enough(name):
    mixer, tokens = MIXERS[name](1), torch.zeros(1, 1, dtype=torch.int64)
    given = {"tokens": tokens} if mixer.wants_tokens else {}
    assert mixer(torch.ones(1, 1, 1), **given).shape == (1, 1, 1)
    if mixer.has_step:
        assert mixer.step(torch.ones(1, 1))[0].shape == (1, 1)


def test_identity_starts_near_the_identity():
    torch.manual_seed(0)
    projection = torch.nn.Linear(50, 50)
    start_projections("identity", projection)
    assert (projection.weight - torch.eye(50)).std().item() == pytest.approx(0.02, rel=0.1)


def test_a_row_at_the_threshold_is_kept():
    select = Learned(1, k=1).eval()
    select.router.weight.data.fill_(1.0)
    select.router.bias.data.zero_()
    select.threshold.fill_(2.0)
    assert (select(torch.tensor([[[1.5], [2.0], [2.5]]])) != 0).tolist() == [[False, True, True]]


def test_sequences_with_filters_of_their_own_are_convolved_at_once(monkeypatch):
    monkeypatch.setattr(convolution, "IN_CACHE", 1)
    u, own = torch.randn(3, 2, 5), torch.randn(3, 2, 5)
    each = [convolution.long_conv(x[None], h) for x, h in zip(u, own, strict=True)]
    assert torch.allclose(convolution.long_conv(u, own), torch.cat(each), atol=1e-5)
    shared = [convolution.long_conv(x[None], own[0]) for x in u]
    assert torch.allclose(convolution.long_conv(u, own[0]), torch.cat(shared), atol=1e-5)


def test_an_implicit_filter_by_its_definition():
    torch.manual_seed(0)
    made, t = ImplicitFilter(3, 10), torch.arange(10) / 10
    assert made.decay.tolist() == [0, 10, 20]
    waves = [wave(2 * math.pi * k * t) for wave in (torch.sin, torch.cos) for k in range(1, 9)]
    hidden = torch.stack([t, *waves], 1)
    for layer in (made.inner, made.middle):
        hidden = torch.sin(hidden @ layer.weight.T + layer.bias)
    window = torch.exp(-torch.tensor([0.0, 10.0, 20.0])[:, None] * t)
    expected = (hidden @ made.outer.weight.T).T * window
    assert torch.allclose(made(10), expected, atol=1e-5)
    assert torch.allclose(made(4), expected[:, :4], atol=1e-5)


def test_an_implicit_filter_may_start_near_a_level():
    torch.manual_seed(0)
    made = ImplicitFilter(3, 10)
    middle, outer = made.middle.weight.detach().clone(), made.outer.weight.detach().clone()
    made.start_near(0.7)
    assert not made.decay.any() and torch.allclose(made.middle.weight, 0.3 * middle)
    made.middle.weight.data.zero_()
    rest = 0.1 * math.sin(math.pi / 4) * outer.sum(1, keepdim=True)
    assert torch.allclose(made(10), (0.7 + rest).expand(3, 10), atol=1e-5)


def test_the_scan_of_one_token_and_what_does_not_fit():
    a, x = torch.full((2, 1, 3), 0.5), torch.ones(2, 1, 3)
    assert torch.equal(linear_scan(a, x), x)
    assert torch.equal(torch.func.grad(lambda x: linear_scan(a, x).sum())(x), x)
    for wrong in ((1, 4, 3), (2, 4, 2), (2, 1, 3), (2, 4)):
        with pytest.raises(ValueError, match=re.escape(f"a shape = {wrong}: must be (B, N, ...)")):
            linear_scan(torch.ones(wrong), torch.ones(2, 4, 3))
    assert linear_scan(torch.ones(2, 4, 1), torch.ones(2, 4, 3))[:, -1].eq(4).all()


def test_a_row_that_does_not_ask_in_a_sequence_of_one():
    mixer = MIXERS["sparse_attention"](4, selection="random", p=0.0).eval()
    u, tokens = torch.ones(2, 1, 4), torch.zeros(2, 1, dtype=torch.int64)
    assert torch.equal(mixer(u, tokens=tokens), torch.zeros(2, 1, 4))
    assert torch.equal(mixer.last_selection, torch.zeros(2, 1))


def test_a_test_draws_other_rows_than_any_training_pass():
    select, u = Random(0.5, seed=3), torch.ones(4, 64, 2)
    tested = select.eval()(u)
    trained = [select.train()(u) for _ in range(3)]
    assert not any(torch.equal(tested, one) for one in trained)
    assert torch.equal(tested, select.eval()(u)), "the same in every test pass"


def test_pass_number_n_draws_with_a_seed_of_its_own():
    """So a training that goes on draws what it would have drawn."""
    u = torch.ones(4, 64, 2)
    random, router = Random(0.3, seed=2).train(), Learned(2, k=64, noise=0.5, seed=2).train()
    logits = router.router(u)[..., 0]
    for number in (1, 2, 3):

        def generator(number=number):
            return torch.Generator().manual_seed(2 * 1_000_003 + number)

        drawn = torch.rand(4, 64, generator=generator())
        assert torch.equal(random(u), (drawn < 0.3).float())
        noise = torch.randn(4, 64, generator=generator())
        assert torch.allclose(router(u), (logits + 0.5 * noise).sigmoid())
    assert random.passes == router.passes == 3
    tested = torch.rand(4, 64, generator=torch.Generator().manual_seed(2 * 1_000_003))
    assert torch.equal(random.eval()(u), (tested < 0.3).float())


def test_the_threshold_is_a_running_mean_of_the_borders():
    select = Learned(1, k=1, noise=0.0)
    select.router.weight.data.fill_(1.0)
    select.router.bias.data.zero_()
    for first, mean in ((3.0, 0.1 * 2.5), (8.0, 0.9 * 0.1 * 2.5 + 0.1 * 5.0)):
        select(torch.tensor([[[first], [2.0], [1.0]]]))
        assert select.threshold.item() == pytest.approx(mean)


@pytest.mark.parametrize("make", [Random, lambda seed: Learned(4, seed=seed)])
def test_the_seed_of_a_selection(make):
    make(seed=0)
    with pytest.raises(ValueError, match="seed = -1: must be an integer in 0"):
        make(seed=-1)


def test_tokens_stay_as_small_as_they_are_and_none_are_integers():
    small = np.array([1, 2], np.uint16)
    assert as_tokens("tokens", small).dtype == np.uint16
    assert as_tokens("tokens", []).dtype == np.int64


def test_the_long_kernel_takes_one_filter_a_channel_as_long_as_u(monkeypatch):
    monkeypatch.setattr(long_conv, "runs_on", lambda u: True)
    u = torch.zeros(2, 3, 8)
    assert long_conv.takes(u, torch.zeros(3, 8))
    for shape in ((3, 7), (2, 8), (1, 8), (8,), (2, 3, 8)):
        assert not long_conv.takes(u, torch.zeros(shape))
    assert not long_conv.takes(u[0], torch.zeros(8))
    monkeypatch.setattr(long_conv, "runs_on", lambda u: False)
    assert not long_conv.takes(u, torch.zeros(3, 8))
