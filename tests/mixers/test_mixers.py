"""Mixers: causal, right by an independent truth, and the same with and without shortcuts."""

import pytest
import torch
from torch import nn

from tests.mixers.test_mixers_in_triton import CASES, IDS, build
from zoology_teach import kernels
from zoology_teach.kernels import dispatch
from zoology_teach.mixers import MIXERS
from zoology_teach.mixers.attention import Attention
from zoology_teach.mixers.base_conv import BaseConv
from zoology_teach.mixers.convolution import ShortConv, long_conv, short_conv

VARIANTS = [
    ("attention", {}),
    ("attention", {"num_heads": 4}),
    ("attention", {"window": 5}),
    ("attention", {"short_conv": 3}),
    ("attention", {"init": "identity", "short_conv": 2, "num_heads": 2}),
    ("base_conv", {}),
    ("base_conv", {"kernel_size": 8}),
    ("base_conv", {"filter": "long"}),
    ("base_conv", {"filter": "implicit"}),
    ("base_conv", {"init": "identity"}),
    ("base_conv", {"init": "pair"}),
    ("base_conv", {"filter": "long", "init": "identity"}),
]


@pytest.fixture(params=VARIANTS, ids=[f"{n}-{o}" for n, o in VARIANTS])
def mixer(request):
    name, options = request.param
    torch.manual_seed(0)
    made = MIXERS[name](16, **options)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.3)
    return made.double()


def u(n: int, batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(n)
    return torch.randn(batch, n, 16, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("name", sorted(MIXERS))
def test_every_mixer_needs_only_its_width(name):
    x = torch.randn(2, 100, 64, requires_grad=True)
    MIXERS[name](d_model=64)(x).sum().backward()
    assert x.grad.shape == x.shape


@pytest.mark.parametrize("name", sorted(set(MIXERS) - {"base_conv_autocorrelation"}))
def test_every_mixer_is_causal_as_it_comes(name):
    torch.manual_seed(0)
    made, x = MIXERS[name](d_model=64), torch.randn(2, 100, 64)
    changed = x.clone()
    changed[:, 60:] = torch.randn(2, 40, 64)
    assert (made(changed) - made(x))[:, :60].abs().max() <= 1e-6


@pytest.mark.parametrize("name", ["sliding_window", "s4d", "h3", "rwkv", "mamba", "base_conv"])
@pytest.mark.parametrize("init", ["usual", "identity"])
def test_every_step_agrees_as_it_comes(name, init):
    torch.manual_seed(0)
    options = {} if name == "s4d" else {"init": init}
    made, x = MIXERS[name](64, **options).double(), torch.randn(2, 100, 64, dtype=torch.float64)
    state, whole = None, made(x)
    for t in range(100):
        y_t, state = made.step(x[:, t], state)
        assert (y_t - whole[:, t]).abs().max() <= 1e-8


@pytest.mark.parametrize("n", [1, 2, 7, 33])
def test_shapes(mixer, n):
    assert mixer(u(n)).shape == (2, n, 16)


def test_causal(mixer):
    x = u(24)
    y = mixer(x)
    for t in (0, 5, 22):
        changed = x.clone()
        changed[:, t + 1 :] += 1.0
        assert torch.allclose(mixer(changed)[:, : t + 1], y[:, : t + 1], atol=1e-10)
        assert not torch.allclose(mixer(changed), y, atol=1e-3), "the change is seen somewhere"


def test_rows_asked_for_are_the_rows_of_the_whole(mixer):
    x = u(20)
    positions = torch.tensor([[0, 3, 19], [7, 7, 1]])
    expected = mixer(x).gather(1, positions[..., None].expand(-1, -1, 16))
    assert torch.allclose(mixer(x, positions), expected, atol=1e-12)


def test_gradients_of_rows_asked_for_are_those_of_the_whole(mixer):
    positions = torch.tensor([[0, 3, 19], [7, 7, 1]])
    weight = torch.randn(2, 3, 16, dtype=torch.float64)
    x = u(20).requires_grad_()
    wanted = [x, *mixer.parameters()]
    expected = mixer(x).gather(1, positions[..., None].expand(-1, -1, 16))
    truth = torch.autograd.grad((expected * weight).sum(), wanted)
    found = torch.autograd.grad((mixer(x, positions) * weight).sum(), wanted)
    for mine, right in zip(found, truth, strict=True):
        assert torch.allclose(mine, right, atol=1e-11)


def test_gradients(mixer):
    x = u(5, batch=1).requires_grad_()
    assert torch.autograd.gradcheck(mixer, (x,), fast_mode=True)


def test_costs_are_counted(mixer):
    assert mixer.flops(64) > mixer.flops(32) > 0
    assert mixer.state_size(64) >= mixer.state_size(4) > 0


def test_attention_by_definition():
    torch.manual_seed(1)
    mixer = Attention(8, num_heads=2, window=3).double()
    for parameter in mixer.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(1, 6, 8, dtype=torch.float64)
    q, k, v = (f(x)[0] for f in (mixer.query, mixer.key, mixer.value))
    y = torch.zeros(6, 8, dtype=torch.float64)
    for t in range(6):
        for head in (slice(0, 4), slice(4, 8)):
            seen = range(max(0, t - 2), t + 1)
            weights = torch.softmax(torch.stack([q[t, head] @ k[s, head] / 2 for s in seen]), 0)
            y[t, head] = sum(w * v[s, head] for w, s in zip(weights, seen, strict=True))
    assert torch.allclose(mixer(x)[0], mixer.out(y), atol=1e-12)


@pytest.mark.parametrize("filter", ["short", "long", "implicit"])
def test_base_conv_by_definition(filter):
    torch.manual_seed(2)
    mixer = BaseConv(4, filter=filter, max_len=32).double()
    nn.init.normal_(mixer.conv_bias)
    x = torch.randn(1, 9, 4, dtype=torch.float64)
    h = mixer.filter(9)
    for t in range(9):
        conv = sum(h[:, lag] * x[0, t - lag] for lag in range(min(t + 1, h.shape[1])))
        gate = mixer.projection.weight @ x[0, t] + mixer.projection.bias
        assert torch.allclose(mixer(x)[0, t], gate * (conv + mixer.conv_bias), atol=1e-12)


@pytest.mark.parametrize(("n", "taps"), [(1, 1), (1, 4), (5, 3), (5, 8), (64, 3), (100, 1)])
def test_short_conv_against_conv1d(n, taps):
    x = torch.randn(3, n, 6, dtype=torch.float64, requires_grad=True)
    h = torch.randn(6, taps, dtype=torch.float64, requires_grad=True)
    padded = nn.functional.pad(x.transpose(1, 2), (taps - 1, 0))
    expected = nn.functional.conv1d(padded, h.flip(1)[:, None], groups=6).transpose(1, 2)
    y, to_y = short_conv(x, h), torch.randn_like(x)
    assert torch.allclose(y, expected, atol=1e-12)
    for graph in (False, True):  # with a graph of its own it is written out another way
        found = torch.autograd.grad(y, (x, h), to_y, retain_graph=True, create_graph=graph)
        right = torch.autograd.grad(expected, (x, h), to_y, retain_graph=True)
        for ours, theirs in zip(found, right, strict=True):
            assert torch.allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 17, 64, 255])
def test_long_conv_by_fft_against_the_toeplitz_matrix(n):
    x, h = (torch.randn(3, n, dtype=torch.float64) for _ in range(2))
    lag = torch.arange(n)[:, None] - torch.arange(n)
    toeplitz = torch.where(lag >= 0, h[:, lag.clamp(min=0)], 0.0)
    expected = torch.einsum("dts,ds->dt", toeplitz, x)
    assert torch.allclose(long_conv(x[None], h)[0], expected, atol=1e-10)


def test_starts_do_what_their_names_say():
    x = torch.randn(1, 6, 8)
    previous = torch.cat([torch.zeros(1, 1, 8), x[:, :-1]], dim=1)

    def start(**options):
        made = BaseConv(8, **options)
        made.projection.weight.data.round_()  # without the noise
        return made

    assert torch.allclose(start(init="pair")(x), x + previous)
    assert torch.allclose(start(init="identity")(x), x * previous)
    long = start(init="identity", filter="long", max_len=6)
    assert torch.allclose(long(x), x * x.cumsum(1), atol=1e-5)
    assert torch.equal(ShortConv(8, 3, "identity")(x), x)
    assert torch.equal(ShortConv(8, 3, "previous")(x), previous)


@pytest.mark.parametrize(("name", "options"), [("h3", {}), ("hyena", {"max_len": 64})])
def test_h3_and_hyena_start_as_a_holographic_memory(name, options):
    """Two pairs, a blank, the first key: what comes out is its value, not the other one."""
    torch.manual_seed(0)
    d = 512
    made = MIXERS[name](d, init="identity", **options)
    codes = torch.randn(5, d).sign()
    codes[4] = 0
    y = made(codes[[0, 1, 2, 3, 4, 0]][None])[0, -1]
    answer, other = codes[1] @ y / d, codes[3] @ y / d
    assert answer > 0.6 and abs(other) < 0.25


def test_matching_starts_find_the_equal_token():
    """Tokens carry their key (first half) and value; a query with a key gets its value."""
    torch.manual_seed(0)
    keys, values = torch.randn(6, 64), torch.randn(6, 64)
    tokens = torch.cat([keys, values], dim=1)
    query = torch.cat([keys[2], torch.zeros(64)])
    u = torch.cat([tokens, query[None]])[None]
    for name in ("attention", "linear_attention"):
        options = {"feature_dim": 64} if name == "linear_attention" else {}
        y = MIXERS[name](128, init="identity", **options)(u)[0, -1, 64:]
        assert (values @ y).argmax() == 2, name


def test_rwkv_starts_by_weighing_values_with_the_key_before():
    torch.manual_seed(0)
    d = 2048
    keys, values = torch.randn(3, d), torch.randn(3, d)
    sequence = torch.stack([keys, values], dim=1).flatten(0, 1)
    asked = torch.cat([sequence, torch.zeros(1, d), keys[:1]])
    y = MIXERS["rwkv"](d, init="identity")(asked[None])[0, -1]
    assert (values @ y).argmax() == 0


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Attention(8, num_heads=3), "num_heads = 3"),
        (lambda: Attention(8, window=0), "window = 0"),
        (lambda: Attention(0), "d_model = 0"),
        (lambda: Attention(8, init="zero"), "init = 'zero'"),
        (lambda: MIXERS["h3"](8, init="pair"), "init = 'pair'"),
        (lambda: MIXERS["h3"](8, shift_taps=1, init="identity"), "kernel_size = 1"),
        (lambda: MIXERS["hyena"](8, init="zero"), "init = 'zero'"),
        (lambda: MIXERS["rwkv"](8, init="zero"), "init = 'zero'"),
        (lambda: MIXERS["mamba"](8, init="zero"), "init = 'zero'"),
        (lambda: MIXERS["linear_attention"](8, init="zero"), "init = 'zero'"),
        (lambda: BaseConv(8, filter="medium"), "filter = 'medium'"),
        (lambda: BaseConv(8, kernel_size=1, init="pair"), "kernel_size = 1"),
        (lambda: BaseConv(8, filter="implicit", init="identity"), "init = 'identity'"),
        (lambda: BaseConv(8, filter="long", init="pair"), "init = 'pair'"),
        (
            lambda: BaseConv(8, filter="long", max_len=4)(torch.zeros(1, 5, 8)),
            "sequence length = 5",
        ),
    ],
)
def test_bad_options_name_the_argument(make, named):
    with pytest.raises(ValueError) as error:
        make()
    assert named in str(error.value)


KERNELS = {
    "short_conv": kernels.short_conv,
    "base_conv": kernels.base_conv,
    "long_conv": kernels.long_conv,
    "linear_scan": kernels.scan,
    "attention": kernels.flash_attention,
    "sparse_attention": kernels.sparse_attention,
}


@pytest.mark.parametrize("some_rows", [False, True])
@pytest.mark.parametrize(("name", "options", "expected"), CASES, ids=IDS)
def test_where_a_kernel_takes_the_tensors_it_is_asked(
    name, options, expected, some_rows, monkeypatch
):
    """As on a GPU, with the kernels' definitions in their place."""
    mixer, u = build(name, options), torch.randn(2, 17, 8)
    positions = torch.tensor([[3, 0], [16, 9]]) if some_rows else None
    want, called = mixer(u, positions), set()

    def by_definition(kernel, function):
        def asked(*given):
            called.add(kernel)
            return function(*given, impl="reference")

        return asked

    for kernel, module in KERNELS.items():
        monkeypatch.setattr(module, kernel, by_definition(kernel, getattr(module, kernel)))
    monkeypatch.setattr(dispatch, "HAS_TRITON", True)
    monkeypatch.setattr(dispatch, "on_gpu", lambda x: True)
    assert torch.allclose(mixer(u, positions), want, rtol=1e-4, atol=1e-5)
    assert some_rows or called == expected


def test_attention_of_a_window_and_of_rows_has_a_kernel_each_and_both_have_none(monkeypatch):
    asked = []

    def attention(q, k, v, window):
        asked.append(window)
        return q

    def of_rows(q, k, v, positions):
        asked.append(positions.tolist())
        return q

    monkeypatch.setattr(kernels.flash_attention, "takes", lambda x, d: d == 4)
    monkeypatch.setattr(kernels.flash_attention, "attention", attention)
    monkeypatch.setattr(kernels.sparse_attention, "sparse_attention", of_rows)
    for window, positions in ((None, None), (2, None), (None, [[1, 3]]), (2, [[1, 3]])):
        mixer = MIXERS["attention"](8, num_heads=2, window=window)
        at = None if positions is None else torch.tensor(positions)
        mixer(torch.randn(1, 5, 8), at)
    assert asked == [2, [[1, 3]]]
