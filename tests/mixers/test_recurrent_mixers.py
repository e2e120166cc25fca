"""Mixers with a state: in parallel as token by token, and each against its definition."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import elu, silu, softplus

from zoology_teach.mixers.attention import Attention
from zoology_teach.mixers.base_conv import BaseConv
from zoology_teach.mixers.base_conv_autocorrelation import AutocorrelationBaseConv
from zoology_teach.mixers.linear_attention import LinearAttention
from zoology_teach.mixers.mamba import Mamba
from zoology_teach.mixers.rwkv import RWKV
from zoology_teach.mixers.scan import linear_scan
from zoology_teach.mixers.selective_scan import selective_scan
from zoology_teach.mixers.sliding_window import SlidingWindow

RECURRENT = [
    (BaseConv, {}),
    (BaseConv, {"kernel_size": 1}),
    (RWKV, {}),
    (Mamba, {}),
    (Mamba, {"expand": 2, "d_state": 3, "kernel_size": 1}),
    (LinearAttention, {"chunk": 8, "feature_dim": 4}),
    (LinearAttention, {"chunk": 8, "feature_map": "elu", "num_heads": 2}),
    (LinearAttention, {"num_heads": 2}),
    (SlidingWindow, {"window": 6}),
    (SlidingWindow, {"window": 1}),
    (SlidingWindow, {"window": 64, "num_heads": 2}),
]
ALL = [*RECURRENT, (AutocorrelationBaseConv, {})]


def make(kind, options, width=16):
    torch.manual_seed(0)
    made = kind(width, **options)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.4)
    return made.double()


def u(n, batch=2, width=16):
    generator = torch.Generator().manual_seed(n)
    return torch.randn(batch, n, width, generator=generator, dtype=torch.float64)


def named(cases):
    return pytest.mark.parametrize(
        ("kind", "options"), cases, ids=[f"{k.__name__}-{o}" for k, o in cases]
    )


@named(RECURRENT)
@pytest.mark.parametrize("n", [1, 2, 7, 33])
def test_step_by_step_is_the_whole(kind, options, n):
    mixer, x = make(kind, options), u(n)
    state, steps = None, []
    for t in range(n):
        y_t, state = mixer.step(x[:, t], state)
        steps.append(y_t)
    assert torch.allclose(torch.stack(steps, 1), mixer(x), rtol=0, atol=1e-8)


@named(RECURRENT)
def test_causal(kind, options):
    mixer, x = make(kind, options), u(24)
    for t in (0, 5, 22):
        changed = x.clone()
        changed[:, t + 1 :] += 1.0
        same = mixer(changed)[:, : t + 1] - mixer(x)[:, : t + 1]
        assert same.abs().max() < 1e-10
        assert not torch.allclose(mixer(changed), mixer(x), atol=1e-3)


@named(ALL)
def test_rows_asked_for_are_the_rows_of_the_whole(kind, options):
    mixer, x = make(kind, options), u(20)
    positions = torch.tensor([[0, 3, 19], [7, 7, 1]])
    expected = mixer(x).gather(1, positions[..., None].expand(-1, -1, 16))
    assert torch.allclose(mixer(x, positions), expected, atol=1e-10)


@named(ALL)
@pytest.mark.parametrize("n", [1, 11])
def test_gradients(kind, options, n):
    mixer, x = make(kind, options), u(n, batch=1).requires_grad_()
    assert torch.autograd.gradcheck(mixer, (x,), fast_mode=True)
    mixer(x).square().sum().backward()
    if n > 1:
        assert all(p.grad.isfinite().all() for p in mixer.parameters())


@named(ALL)
def test_costs_and_default_start(kind, options):
    mixer = kind(64, **options)
    x = torch.randn(2, 100, 64, requires_grad=True)
    mixer(x).square().sum().backward()
    assert x.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in mixer.parameters())
    assert mixer.flops(64) > mixer.flops(32) > 0
    assert mixer.state_size(64) >= mixer.state_size(4) >= 0


@named(RECURRENT)
def test_the_state_is_as_large_as_it_says(kind, options):
    mixer, x, state = make(kind, options), u(9, batch=1), None
    for t in range(9):
        _, state = mixer.step(x[:, t], state)
    parts = state if isinstance(state, tuple) else (state,)
    assert sum(part.numel() for part in parts) == mixer.state_size(9)


# In chunks, and as a plain loop: 5000 numbers a step are enough for that.
@pytest.mark.parametrize("shape", [(2, 1, 3), (2, 2, 3), (2, 17, 3), (1, 100, 2, 4), (1, 5, 5000)])
@pytest.mark.parametrize("decays", ["mixed", "zero", "tiny", "one"])
def test_scan_against_a_loop(shape, decays):
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(shape, generator=generator, dtype=torch.float64)
    if decays == "mixed":
        a[:, ::3], a[:, 1::5] = 0.0, 1e-30
    else:
        a[:] = {"zero": 0.0, "tiny": 1e-30, "one": 1.0}[decays]
    x, weight = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    a.requires_grad_(), x.requires_grad_()
    s, outs = torch.zeros_like(x[:, 0]), []
    for t in range(shape[1]):
        s = a[:, t] * s + x[:, t]
        outs.append(s)
    expected = torch.stack(outs, 1)
    got = linear_scan(a, x)
    assert torch.allclose(got, expected, rtol=1e-12, atol=1e-12)
    wanted = torch.autograd.grad((expected * weight).sum(), (a, x), allow_unused=True)
    for mine, truth in zip(torch.autograd.grad((got * weight).sum(), (a, x)), wanted, strict=True):
        assert torch.allclose(mine, truth, rtol=1e-10, atol=1e-10)


def test_scan_broadcasts_the_decay():
    a = torch.rand(2, 13, 1, 3, dtype=torch.float64, requires_grad=True)
    x = torch.randn(2, 13, 4, 3, dtype=torch.float64, requires_grad=True)
    wide = a.expand(-1, -1, 4, -1)
    assert torch.allclose(linear_scan(a, x), linear_scan(wide.contiguous(), x))
    assert torch.autograd.gradcheck(linear_scan, (a, x), fast_mode=True)


@pytest.mark.parametrize("n", [1, 2, 7, 16, 23])
def test_selective_scan_by_definition(n):
    b, e, s = 2, 3, 4
    shapes = [(b, n, e), (s, e), (b, n, s), (b, n, s), (b, n, e)]
    dt, a, write, read, x = (torch.randn(*shape, dtype=torch.float64) for shape in shapes)
    inputs = [z.requires_grad_() for z in (dt.abs(), -a.abs() * 100, write, read, x)]
    dt, a, write, read, x = inputs
    state, rows = torch.zeros(b, s, e, dtype=torch.float64), []
    for t in range(n):
        state = torch.exp(dt[:, t, None] * a) * state + write[:, t, :, None] * (dt * x)[:, t, None]
        rows.append((read[:, t, :, None] * state).sum(1))
    expected, weight = torch.stack(rows, 1), torch.randn(b, n, e, dtype=torch.float64)
    got = selective_scan(*inputs)
    assert torch.allclose(got, expected, rtol=1e-10, atol=1e-12)
    truth = torch.autograd.grad((expected * weight).sum(), inputs)
    for mine, right in zip(torch.autograd.grad((got * weight).sum(), inputs), truth, strict=True):
        assert torch.allclose(mine, right, rtol=1e-8, atol=1e-10)


def test_selective_scan_keeps_a_few_states_for_backward():
    n, e, s = 1024, 8, 16
    shapes = [(1, n, e), (s, e), (1, n, s), (1, n, s), (1, n, e)]
    inputs = [torch.rand(*shape).requires_grad_() for shape in shapes]
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()), lambda _: None):
        selective_scan(*inputs)
    assert sum(kept) - sum(x.numel() for x in inputs) == 32 * e * s


def test_rwkv_by_definition():
    mixer, x = make(RWKV, {}), u(12)
    last = torch.cat([torch.zeros(2, 1, 16), x[:, :-1]], 1)
    r, k, v = (
        projection(mu * x + (1 - mu) * last)
        for projection, mu in zip(
            (mixer.receptance, mixer.key, mixer.value), mixer.mix, strict=True
        )
    )
    w, wkv = mixer.log_decay.exp(), torch.zeros_like(x)
    for t in range(12):
        weights = [torch.exp(k[:, i] - (t - 1 - i) * w) for i in range(t)]
        weights.append(torch.exp(k[:, t] + mixer.bonus))
        wkv[:, t] = sum(p * v[:, i] for i, p in enumerate(weights)) / sum(weights)
    assert torch.allclose(mixer(x), mixer.out(torch.sigmoid(r) * wkv), atol=1e-10)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_rwkv_with_keys_far_beyond_exp(sign):
    torch.manual_seed(0)
    mixer = RWKV(16)
    mixer.key.weight.data = sign * 1e3 * torch.eye(16)
    x = torch.randn(2, 300, 16, requires_grad=True)
    y = mixer(x)
    y.square().sum().backward()
    assert y.isfinite().all() and x.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in mixer.parameters())
    state = None
    for t in range(40):
        y_t, state = mixer.step(x[:, t], state)
        assert torch.allclose(y_t, y[:, t], atol=1e-5)


@pytest.mark.parametrize("expand", [1, 2])
def test_mamba_against_a_loop(expand):
    mixer, x = make(Mamba, {"expand": expand, "d_state": 3}, width=4), u(9, width=4)
    n, inner = 9, 4 * expand
    for b in range(2):
        both = x[b] @ mixer.project_in.weight.T
        raw, z = both[:, :inner], both[:, inner:]
        s = torch.zeros(inner, 3, dtype=torch.float64)
        for t in range(n):
            xt = torch.zeros(inner, dtype=torch.float64)
            for lag in range(min(4, t + 1)):
                xt = xt + mixer.conv.filter[:, lag] * raw[t - lag]
            xt = silu(xt + mixer.conv_bias)
            low = mixer.select.weight @ xt
            rank = mixer.dt_rank
            dt = softplus(mixer.dt.weight @ low[:rank] + mixer.dt.bias)
            into, out = low[rank : rank + 3], low[rank + 3 :]
            s = s.clone()
            for e in range(inner):
                for m in range(3):
                    a = -math.exp(mixer.log_a[e, m].item())
                    s[e, m] = torch.exp(dt[e] * a) * s[e, m] + dt[e] * into[m] * xt[e]
            y = mixer.out.weight @ ((s @ out + mixer.skip * xt) * silu(z[t]))
            assert torch.allclose(mixer(x)[b, t], y, atol=1e-10)


def test_mamba_is_not_a_convolution():
    """Another token in between changes how much of the first one survives."""
    mixer = make(Mamba, {"kernel_size": 1})
    x = u(6)
    loud, first = x.clone(), x.clone()
    loud[:, 2] *= 5
    y = mixer(x)
    first[:, 0] *= -1
    both = first.clone()
    both[:, 2] = loud[:, 2]
    assert not torch.allclose(mixer(first) - y, mixer(both) - mixer(loud), atol=1e-4)


@pytest.mark.parametrize("feature_map", ["taylor", "elu"])
@pytest.mark.parametrize("n", [5, 16, 37])
def test_linear_attention_against_its_kernel_matrix(feature_map, n):
    options = {"feature_map": feature_map, "feature_dim": 4, "num_heads": 2, "chunk": 8}
    mixer, x = make(LinearAttention, options), u(n)
    y = torch.zeros_like(x)
    for head in range(2):
        some, mine = slice(4 * head, 4 * head + 4), slice(8 * head, 8 * head + 8)
        q, k, v = mixer.query(x)[..., some], mixer.key(x)[..., some], mixer.value(x)[..., mine]
        if feature_map == "taylor":
            score = torch.einsum("btd,bsd->bts", q, k) / math.sqrt(4)
            kernel = 1 + score + score**2 / 2
        else:
            kernel = torch.einsum("btd,bsd->bts", elu(q) + 1, elu(k) + 1)
        kernel = kernel.tril()
        y[..., mine] = kernel @ v / kernel.sum(-1, keepdim=True)
    assert torch.allclose(mixer(x), mixer.out(y), atol=1e-10)


def test_taylor_features_factor_the_kernel():
    """The state, a sum over features, answers as 1 + x + x²/2 does with every key at hand."""
    mixer, tokens, state = LinearAttention(8, feature_dim=5).double(), u(7)[:1, :, :8], None
    for parameter in mixer.parameters():
        parameter.data.normal_()
    for token in tokens.unbind(1):
        y, state = mixer.step(token, state)
    x = mixer.query(token) @ mixer.key(tokens[0]).T * 5**-0.5
    weights = 1 + x + x**2 / 2
    assert torch.allclose(y, mixer.out(weights @ mixer.value(tokens[0]) / weights.sum()))
    assert state.shape == (1, 1, 21, 9) and mixer.num_features() == 21


@pytest.mark.parametrize("n", [1, 5, 6, 13, 40])
@pytest.mark.parametrize("options", [{"window": 6}, {"window": 5, "num_heads": 4}, {"window": 1}])
def test_sliding_window_is_windowed_attention(options, n):
    blocks, x = make(SlidingWindow, options), u(n)
    full = make(Attention, options)
    full.load_state_dict(blocks.state_dict())
    assert torch.allclose(blocks(x), full(x), atol=1e-12)


TOKENS = torch.tensor([[1, 7, 2, 8, 3, 2, 1, 5], [4, 4, 4, 9, 9, 6, 1, 2]])
# Repeats: 2 at distance 3, 1 at 6; 4 at 1 and 2, 9 at 1.
FILTERS = torch.tensor([[0, 0, 1, 0, 0, 1, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0]], dtype=torch.float64)


def test_autocorrelation_filter_of_typed_tokens():
    mixer = make(AutocorrelationBaseConv, {})
    table = torch.randn(10, 16, dtype=torch.float64)
    x = table[TOKENS]
    assert torch.equal(mixer.filter(x, TOKENS), FILTERS)
    assert torch.equal(mixer.filter(x), FILTERS), "from the embeddings"
    for h, one, y in zip(FILTERS, x, mixer(x, tokens=TOKENS), strict=True):
        for t in range(8):
            conv = sum(h[lag] * one[t - lag] for lag in range(t + 1))
            gate = mixer.projection.weight @ one[t] + mixer.projection.bias
            assert torch.allclose(y[t], gate * (conv + mixer.conv_bias), atol=1e-12)


def test_autocorrelation_hands_the_value_to_the_query():
    """2 -> 8 is stored at 2, 3; at 5 the 2 returns, and lag 2 brings the 8."""
    mixer = AutocorrelationBaseConv(16).double()
    x = torch.eye(16, dtype=torch.float64)[TOKENS]
    nn.init.zeros_(mixer.projection.weight), nn.init.ones_(mixer.projection.bias)
    y = mixer(x).detach()
    assert y[0, 5, 8] == pytest.approx(1)
    assert y[0, 6, 7] == pytest.approx(1), "1 -> 7, five before"


def test_autocorrelation_reads_the_whole_example():
    mixer, x = make(AutocorrelationBaseConv, {}), u(8)
    later = x.clone()
    later[:, 7] = later[:, 6]
    assert not torch.allclose(mixer(later)[:, :6], mixer(x)[:, :6])


@pytest.mark.parametrize(
    ("make_it", "name"),
    [
        (lambda: RWKV(0), "d_model = 0"),
        (lambda: Mamba(8, expand=3), "expand = 3"),
        (lambda: Mamba(8, d_state=0), "d_state = 0"),
        (lambda: Mamba(8, kernel_size=0), "kernel_size = 0"),
        (lambda: LinearAttention(8, feature_map="relu"), "feature_map = 'relu'"),
        (lambda: LinearAttention(8, feature_dim=0), "feature_dim = 0"),
        (lambda: LinearAttention(8, num_heads=3), "num_heads = 3"),
        (lambda: LinearAttention(8, chunk=0), "chunk = 0"),
        (lambda: SlidingWindow(8, window=None), "window = None"),
        (lambda: AutocorrelationBaseConv(8, threshold=1.5), "threshold = 1.5"),
        (lambda: AutocorrelationBaseConv(8, init="pair"), "init = 'pair'"),
        (
            lambda: AutocorrelationBaseConv(8)(torch.zeros(1, 5, 8), tokens=TOKENS),
            "tokens shape = (2, 8)",
        ),
        (lambda: BaseConv(8, filter="long").step(torch.zeros(1, 8)), "filter = 'long'"),
        (lambda: BaseConv(8, filter="implicit").step(torch.zeros(1, 8)), "filter = 'implicit'"),
        (lambda: linear_scan(torch.zeros(1, 2, 3), torch.zeros(1, 3, 3)), "a shape = (1, 2, 3)"),
    ],
)
def test_bad_options_name_the_argument(make_it, name):
    with pytest.raises(ValueError) as error:
        make_it()
    assert name in str(error.value)
