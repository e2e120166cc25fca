"""What every mixer declares: counts by hand, bounds, odd input; and mixers from outside."""

import inspect
import itertools
import sys

import pytest
import torch
from torch import nn

from zoology_teach import cost
from zoology_teach.mixers import MIXERS, find
from zoology_teach.mixers.attention import Attention
from zoology_teach.mixers.base_conv import BaseConv
from zoology_teach.mixers.convolution import ShortConv
from zoology_teach.mixers.implicit_filter import ImplicitFilter
from zoology_teach.mixers.mixer import Mixer
from zoology_teach.mixers.s4d import DiagonalSSM
from zoology_teach.model import LanguageModel, ModelConfig, layer

WITH_STEP = {"sliding_window", "base_conv", "s4d", "h3", "rwkv", "mamba", "linear_attention"}


@pytest.mark.parametrize("name", MIXERS)
def test_a_mixer_declares_what_it_is(name):
    kind, mixer = MIXERS[name], MIXERS[name](8)
    assert mixer.d_model == 8
    assert kind.wants_max_len == ("max_len" in inspect.signature(kind).parameters)
    assert kind.wants_tokens == ("tokens" in inspect.signature(kind.forward).parameters)
    assert mixer.has_step == (name in WITH_STEP)
    if not mixer.has_step:
        refused = f"mixer = '{kind.__name__}': must be one with a bounded state"
        with pytest.raises(ValueError, match=refused):
            mixer.step(torch.zeros(1, 8))
    inner, last = mixer.projections()
    linear = {id(m) for m in mixer.modules() if isinstance(m, nn.Linear)}
    on_lags = {id(m) for f in mixer.modules() if isinstance(f, ImplicitFilter) for m in f.modules()}
    declared = [id(m) for m in (*inner, *([last] if last else []))]
    assert len(declared) == len(set(declared)) and set(declared) == linear - on_lags
    assert last is None or last.out_features == 8
    with pytest.raises(ValueError, match="d_model = 0: must be an integer >= 1"):
        kind(0)
    assert kind(1)(torch.zeros(1, 3, 1)).shape == (1, 3, 1)


def fft(n: int) -> int:
    """5/2 M log2 M for M = 2N, the logarithm rounded down."""
    return 5 * (2 * n) * (len(bin(2 * n)) - 3) // 2


def long(n: int) -> int:
    """Three transforms and a complex product of 6 operations at each of N + 1 frequencies."""
    return 3 * fft(n) + 6 * (n + 1)


def network(d: int) -> int:
    return (17 * 32 + 32) + (32 * 32 + 32) + 32 * d + d


def pairs(n: int, window: int) -> int:
    return sum(min(t + 1, window) for t in range(n))


FLOPS = [  # mixer, options, operations by hand
    ("attention", {}, lambda n, d: 8 * n * d * d + 4 * d * pairs(n, n)),
    ("attention", {"window": 5}, lambda n, d: 8 * n * d * d + 4 * d * pairs(n, 5)),
    (
        "attention",
        {"short_conv": 3, "rope": True},
        lambda n, d: 8 * n * d * d + 4 * d * pairs(n, n) + 3 * 6 * n * d + 6 * n * d,
    ),
    ("sliding_window", {"window": 3}, lambda n, d: 8 * n * d * d + 4 * d * pairs(n, 3)),
    ("base_conv", {}, lambda n, d: 2 * n * d * d + 3 * n * d + 6 * n * d),
    ("base_conv", {"kernel_size": 5}, lambda n, d: 2 * n * d * d + 3 * n * d + 10 * n * d),
    ("base_conv", {"filter": "long"}, lambda n, d: 2 * n * d * d + 3 * n * d + d * long(n)),
    (
        "base_conv",
        {"filter": "implicit"},
        lambda n, d: 2 * n * d * d + 3 * n * d + d * long(n) + 2 * n * network(d),
    ),
    (
        "base_conv_autocorrelation",
        {},
        lambda n, d: (
            (2 * n * n * d) + (2 * n * d * d + 3 * n * d) + d * (long(n) - fft(n)) + fft(n)
        ),
    ),
    ("long_conv", {}, lambda n, d: 2 * n * d * d + n * d + d * long(n)),
    ("s4d", {"d_state": 6}, lambda n, d: 2 * n * d * d + n * d + d * long(n) + 4 * n * 3 * d),
    (
        "h3",
        {"d_state": 6, "shift_taps": 4},
        lambda n, d: 8 * n * d * d + 8 * n * d + 2 * n * d + d * long(n) + 4 * n * 3 * d,
    ),
    (
        "hyena",
        {"kernel_size": 4},
        lambda n, d: (
            8 * n * d * d + 3 * 8 * n * d + 2 * n * d + 2 * d * long(n) + 4 * n * network(d)
        ),
    ),
    ("rwkv", {}, lambda n, d: 8 * n * d * d + 33 * n * d),
    (
        "mamba",
        {"d_state": 3, "expand": 2},
        lambda n, d: (
            n
            * (
                (2 * d * 4 * d + 2 * 2 * d * (2 + 6) + 2 * 2 * 2 * d + 2 * 2 * d * d)
                + (8 * 2 * d + 7 * 2 * d * 3 + 12 * 2 * d)
            )
        ),
    ),
]


@pytest.mark.parametrize(("name", "options", "by_hand"), FLOPS)
@pytest.mark.parametrize(("n", "d"), [(7, 20), (40, 18)])
def test_flops_by_hand(name, options, by_hand, n, d):
    mixer = MIXERS[name](d, **options)
    assert mixer.flops(n) == by_hand(n, d)
    assert 0 <= mixer.shared_flops(n) < mixer.flops(n)


SHARED = {
    "long": lambda n, d: d * fft(n),
    "implicit": lambda n, d: d * fft(n) + 2 * n * network(d),
}


@pytest.mark.parametrize("filter", SHARED)
def test_what_the_filters_of_base_conv_share(filter):
    assert BaseConv(18, filter=filter).shared_flops(40) == SHARED[filter](40, 18)
    assert BaseConv(18).shared_flops(40) == 0


STATES = [
    ("attention", {}, lambda n, d: 2 * d * n),
    ("attention", {"window": 5}, lambda n, d: 2 * d * min(n, 5)),
    ("sliding_window", {"window": 3}, lambda n, d: 2 * d * min(n, 3)),
    ("sparse_attention", {"selection": "learned"}, lambda n, d: 2 * d * n),
    ("base_conv", {"kernel_size": 4}, lambda n, d: d * min(n, 3)),
    ("base_conv", {"filter": "long"}, lambda n, d: d * n),
    ("base_conv", {"filter": "implicit"}, lambda n, d: d * n),
    ("base_conv_autocorrelation", {}, lambda n, d: d * n),
    ("long_conv", {}, lambda n, d: d * n),
    ("s4d", {"d_state": 6}, lambda n, d: 6 * d),
    ("h3", {"d_state": 6, "shift_taps": 4}, lambda n, d: 6 * d + d * min(n, 3)),
    ("hyena", {"kernel_size": 4}, lambda n, d: 2 * d * n + 3 * d * min(n, 3)),
    ("rwkv", {}, lambda n, d: 4 * d),
    ("mamba", {"d_state": 3, "expand": 2}, lambda n, d: 2 * d * (3 + min(n, 3))),
    ("linear_attention", {"feature_dim": 5, "num_heads": 2}, lambda n, d: (1 + 5 + 15) * (d + 2)),
    ("linear_attention", {"feature_dim": 5, "feature_map": "elu"}, lambda n, d: 5 * (d + 1)),
]


@pytest.mark.parametrize(("name", "options", "by_hand"), STATES)
def test_the_state_by_hand_and_as_step_returns_it(name, options, by_hand):
    mixer = MIXERS[name](6, **options)
    state, x = None, torch.randn(9, 2, 6)
    for n in range(1, 10):
        assert mixer.state_size(n) == by_hand(n, 6)
        if mixer.has_step:
            _, state = mixer.step(x[n - 1], state)
            parts = state if isinstance(state, tuple) else (state,)
            held = sum(
                torch.view_as_real(p).numel() if p.is_complex() else p.numel() for p in parts
            )
            assert held == 2 * mixer.state_size(n), "two sequences"


LEAST = [  # mixer, option, the least that is allowed, other options
    ("attention", "num_heads", 1, {}),
    ("attention", "window", 1, {}),
    ("attention", "short_conv", 1, {}),
    ("sliding_window", "window", 1, {}),
    ("base_conv", "kernel_size", 1, {}),
    ("base_conv", "kernel_size", 2, {"init": "pair"}),
    ("base_conv", "kernel_size", 2, {"init": "identity"}),
    ("base_conv", "max_len", 1, {"filter": "long"}),
    ("base_conv_autocorrelation", "blank", 0, {}),
    ("long_conv", "max_len", 1, {}),
    ("s4d", "d_state", 2, {}),
    ("h3", "d_state", 2, {}),
    ("h3", "shift_taps", 1, {}),
    ("hyena", "max_len", 1, {}),
    ("hyena", "kernel_size", 1, {}),
    ("mamba", "d_state", 1, {}),
    ("mamba", "kernel_size", 1, {}),
    ("linear_attention", "feature_dim", 1, {}),
    ("linear_attention", "num_heads", 1, {}),
    ("linear_attention", "chunk", 1, {}),
    ("sparse_attention", "k", 1, {"selection": "learned"}),
    ("sparse_attention", "noise", 0, {"selection": "learned"}),
    ("sparse_attention", "soft_steps", 0, {"selection": "learned"}),
    ("sparse_attention", "p", 0, {"selection": "random"}),
    ("sparse_attention", "seed", 0, {}),
]


@pytest.mark.parametrize(("name", "option", "least", "others"), LEAST)
def test_the_least_is_allowed_and_less_is_not(name, option, least, others):
    made = MIXERS[name](4, **{option: least}, **others)
    tokens = {"tokens": torch.zeros(1, 1, dtype=torch.int64)} if made.wants_tokens else {}
    assert made(torch.zeros(1, 1, 4), **tokens).shape == (1, 1, 4)
    with pytest.raises(ValueError, match=f"{option} = -?{abs(least - 1)}"):
        MIXERS[name](4, **{option: least - 1}, **others)


def test_filters_and_starts_of_base_conv_that_go_together():
    allowed = {("short", "usual"), ("short", "identity"), ("short", "pair")}
    allowed |= {("long", "usual"), ("long", "identity"), ("implicit", "usual")}
    for filter, init in itertools.product(
        ("short", "long", "implicit"), ("usual", "identity", "pair")
    ):
        if (filter, init) in allowed:
            assert BaseConv(4, filter=filter, init=init)(torch.ones(1, 3, 4)).shape == (1, 3, 4)
        else:
            with pytest.raises(ValueError, match=f"init = '{init}': must be 'usual'"):
                BaseConv(4, filter=filter, init=init)
    with pytest.raises(ValueError, match="kernel_size = 1: must be left out"):
        BaseConv(4, kernel_size=1, filter="long", init="identity")


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: ShortConv(4, 3, "zero"), "init = 'zero': must be one of ('usual', 'identity'"),
        (lambda: ShortConv(4, 0), "kernel_size = 0: must be an integer >= 1"),
        (lambda: ShortConv(4, 1, "previous"), "kernel_size = 1: must be an integer >= 2"),
        (lambda: DiagonalSSM(0, 2), "d_model = 0"),
        (lambda: MIXERS["sliding_window"](4, window=None), "window = None: must be an integer"),
        (lambda: MIXERS["base_conv_autocorrelation"](4, threshold=-1), "threshold = -1"),
        (
            lambda: MIXERS["base_conv_autocorrelation"](4, blank=0)(torch.zeros(1, 2, 4)),
            "tokens = None: must be the ids",
        ),
        (lambda: MIXERS["s4d"](4, dt_min=0.1), "dt_min"),
    ],
)
def test_what_is_not_possible_is_refused(make, named):
    with pytest.raises((ValueError, TypeError)) as error:
        make()
    assert named in str(error.value)


def test_blanks_open_no_lag_where_the_filler_is_named():
    tokens = torch.tensor([[0, 5, 0, 0, 5, 7]])
    u = torch.zeros(1, 6, 4)
    counting = MIXERS["base_conv_autocorrelation"](4)
    assert counting.filter(u, tokens)[0].tolist() == [1, 1, 1, 0, 0, 0]
    knowing = MIXERS["base_conv_autocorrelation"](4, blank=0)
    assert knowing.filter(u, tokens)[0].tolist() == [0, 0, 1, 0, 0, 0]
    model = LanguageModel(ModelConfig(8, 4, (layer("base_conv_autocorrelation", blank=0),)))
    assert model(tokens).shape == (1, 6, 8)


ODD = {
    "u shape = (0, 5, 8): must be (B, N, 8), none of them 0": torch.zeros(0, 5, 8),
    "u shape = (2, 0, 8): must be (B, N, 8), none of them 0": torch.zeros(2, 0, 8),
    "u shape = (5, 8)": torch.zeros(5, 8),
    "u shape = (2, 5, 7)": torch.zeros(2, 5, 7),
    "u dtype = torch.int64: must be a real floating-point one": torch.zeros(
        2, 5, 8, dtype=torch.int64
    ),
    "u dtype = torch.complex64: must be a real floating-point one": torch.zeros(
        2, 5, 8, dtype=torch.complex64
    ),
}


@pytest.mark.parametrize("named", ODD)
@pytest.mark.parametrize("name", MIXERS)
def test_odd_input_is_named(name, named):
    tokens = {"tokens": torch.zeros(2, 5, dtype=torch.int64)} if MIXERS[name].wants_tokens else {}
    for mixer in (MIXERS[name](8), MIXERS[name](8).eval()):
        with pytest.raises(ValueError) as error:
            mixer(ODD[named], **tokens)
        assert named in str(error.value)


@pytest.mark.parametrize("name", MIXERS)
def test_positions_of_another_batch_are_named_and_none_are_no_rows(name):
    mixer, u = MIXERS[name](8), torch.randn(2, 5, 8)
    for wrong in (torch.zeros(3, dtype=torch.int64), torch.zeros(1, 3, dtype=torch.int64)):
        with pytest.raises(ValueError, match="positions shape = "):
            mixer(u, wrong)
    for beyond in (-1, 5):
        with pytest.raises(ValueError, match=r"positions = .*must be places in 0 \.\. 4"):
            mixer(u, torch.tensor([[0, beyond]] * 2))
    assert mixer(u, torch.zeros(2, 0, dtype=torch.int64)).shape == (2, 0, 8)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", MIXERS)
def test_whole_modules_in_16_bits_on_a_cpu(name, dtype):
    torch.manual_seed(0)
    mixer, u = MIXERS[name](16).eval(), torch.randn(2, 21, 16)
    expected = mixer(u)
    half = mixer.to(dtype)
    x = u.to(dtype).requires_grad_()
    y = half(x)
    assert y.dtype == dtype
    assert torch.allclose(y.float(), expected, atol=0.05, rtol=0.05)
    y.float().square().sum().backward()
    assert x.grad.isfinite().all() and all(p.grad.isfinite().all() for p in half.parameters())
    if mixer.has_step:
        assert half.step(u[:, 0].to(dtype))[0].dtype == dtype


@pytest.mark.parametrize("name", MIXERS)
def test_a_model_in_bfloat16(name):
    model = LanguageModel(ModelConfig(32, 16, (layer("base_conv"), layer(name)))).bfloat16()
    assert model(torch.arange(24).view(2, 12)).isfinite().all()


OUTSIDE = """
from torch import nn
from zoology_teach.mixers.mixer import Mixer, rows

class Mean(Mixer):
    wants_max_len = True

    def __init__(self, d_model, *, max_len=1024, scale=1.0):
        super().__init__(d_model)
        self.scale, self.mix = scale, nn.Linear(d_model, d_model)

    def forward(self, u, positions=None):
        return rows(self.scale * self.mix(u).cumsum(1), positions)

    def state_size(self, n):
        return self.d_model

    def flops(self, n):
        return 2 * n * self.d_model**2 + 2 * n * self.d_model

class Any(Mean):
    def __init__(self, d_model, **options):
        super().__init__(d_model, **options)

class Unbounded(Mean):
    wants_max_len = True

    def __init__(self, d_model):
        super().__init__(d_model)

class Half(Mixer):
    def forward(self, u, positions=None):
        return u

function = len
"""


@pytest.fixture
def outside(tmp_path, monkeypatch):
    (tmp_path / "mixers_of_mine.py").write_text(OUTSIDE)
    (tmp_path / "broken_inside.py").write_text("import no_such_module_at_all")
    monkeypatch.syspath_prepend(tmp_path)
    yield "mixers_of_mine"
    sys.modules.pop("mixers_of_mine", None)


def test_a_mixer_from_outside_needs_its_name_only(outside):
    kind = find(f"{outside}:Mean")
    assert issubclass(kind, Mixer) and find("attention") is Attention
    config = ModelConfig(16, 8, (layer(f"{outside}:Mean", scale=2.0), layer("attention")))
    model = LanguageModel(config)
    assert type(model.mixers[0]) is kind and model.mixers[0].scale == 2.0
    assert model(torch.zeros(1, 4, dtype=torch.int64)).shape == (1, 4, 16)
    built = cost.build(f"{outside}:Mean", 8, 12)
    counted = cost.count(built, 3, 12)
    assert counted.projection_flops == 2 * 3 * 12 * 64
    assert counted.flops == 3 * (2 * 12 * 64 + 2 * 12 * 8)
    assert layer(f"{outside}:Any", anything=1).options == {"anything": 1}


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("zebra", "mixer = 'zebra': must be one of ['attention',"),
        ("zebra", '"module:Class" for a mixer of your own'),
        ("zebra:", "mixer = 'zebra:': must be one of"),
        ("no_such_module:Delta", "must be found: no module no_such_module (on the command line: "),
        ("mixers_of_mine:Delta", "a class derived from zoology_teach.mixers.mixer.Mixer"),
        ("mixers_of_mine:function", "a class derived from zoology_teach.mixers.mixer.Mixer"),
        ("mixers_of_mine:Half", "must be complete: it lacks flops, state_size"),
        ("mixers_of_mine:Unbounded", "the option max_len, as its wants_max_len says"),
        ("__main__:Delta", 'put the class into my_mixer.py and name it "my_mixer:Delta"'),
        ("__main__:Delta", "--plugin my_mixer.py"),
        (Attention, "mixer = 'zoology_teach.mixers.attention:Attention': must be given by this"),
        (7, "mixer = 7: must be a name"),
    ],
)
def test_a_name_that_leads_nowhere_says_what_would(outside, name, named):
    for ask in (find, layer):
        with pytest.raises(ValueError) as error:
            ask(name)
        assert named in str(error.value)


def test_a_class_of_a_notebook_is_told_where_to_go():
    class Delta(Attention):
        pass

    Delta.__module__ = "__main__"
    Delta.__qualname__ = "Delta"
    with pytest.raises(ValueError, match=r"in a file: put the class into my_mixer\.py"):
        layer(Delta)


def test_an_error_inside_a_module_is_its_own(outside):
    with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
        find("broken_inside:Delta")


def test_options_of_a_mixer_from_outside_are_checked_by_name(outside):
    with pytest.raises(ValueError, match="option of mixers_of_mine:Mean = 'scael': must be one of"):
        layer(f"{outside}:Mean", scael=2.0)
