"""What every mixer refuses, and that it names it."""

import pytest
import torch

from zoology_teach import cost
from zoology_teach.mixers import MIXERS
from zoology_teach.mixers.mixer import check_positions
from zoology_teach.mixers.sparse_attention import SELECTIONS

D, N = 4, 6
EACH = pytest.mark.parametrize("name", MIXERS)
WITH_STEP = [name for name, mixer in MIXERS.items() if mixer(D).has_step]


@pytest.fixture
def mixer(name):
    torch.manual_seed(0)
    return MIXERS[name](D).eval()


def refusal(call) -> str:
    with pytest.raises(ValueError) as error:
        call()
    return str(error.value)


@EACH
@pytest.mark.parametrize("shape", [(), (D,), (N, D), (2, N, D + 1), (0, N, D), (2, 0, D)])
def test_another_shape_is_named(mixer, shape):
    for positions in (None, torch.zeros(2, 1, dtype=torch.int64)):
        assert f"u shape = {shape}" in refusal(lambda at=positions: mixer(torch.zeros(shape), at))


@EACH
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_another_dtype_than_the_mixers_is_named_but_not_under_autocast(mixer, dtype):
    u = torch.ones(2, N, D, dtype=dtype)
    said = refusal(lambda: mixer(u))
    assert f"u dtype = {dtype}: must be that of the mixer's parameters, ['torch.float32']" in said
    if dtype == torch.bfloat16:
        with torch.autocast("cpu", dtype):
            assert mixer(u).isfinite().all()


@EACH
@pytest.mark.parametrize(
    ("positions", "named"),
    [
        ([[-1], [0]], f"positions = (-1, 0): must be places in 0 .. {N - 1}"),
        ([[0], [N]], f"positions = (0, {N}): must be places in 0 .. {N - 1}"),
        ([[0.0], [1.0]], "positions dtype = torch.float32: must be torch.int64"),
        ([[True], [False]], "positions dtype = torch.bool: must be torch.int64"),
        ([0, 1], "positions shape = (2,): must be (B, P), with B = 2"),
        ([[0, 1]], "positions shape = (1, 2): must be (B, P), with B = 2"),
    ],
)
def test_positions_are_places_of_the_sequence(mixer, positions, named):
    """Not counted from the end, and not taken round again from the start."""
    assert named in refusal(lambda: mixer(torch.ones(2, N, D), torch.tensor(positions)))


def test_under_torch_compile_positions_stay_in_the_graph():
    """To look at the numbers would break it."""

    def next_places(positions):
        check_positions(positions, b=2, n=N)
        return positions + 1

    torch.compiler.reset()
    compiled = torch.compile(next_places, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(torch.tensor([[0], [N]])), torch.tensor([[1], [N + 1]]))


@pytest.mark.parametrize("name", WITH_STEP)
def test_a_step_names_what_is_no_token(mixer):
    for shape in ((), (D,), (2, D + 1), (0, D), (2, 1, D)):
        assert f"u_t shape = {shape}" in refusal(lambda s=shape: mixer.step(torch.zeros(s)))
    assert "u_t dtype = torch.int64" in refusal(lambda: mixer.step(torch.zeros(2, D).long()))
    assert "u_t dtype = torch.float64" in refusal(lambda: mixer.step(torch.zeros(2, D).double()))


@pytest.mark.parametrize(
    ("name", "options", "named"),
    [
        ("base_conv", {"filter": "long", "kernel_size": 7}, "kernel_size = 7: must be left out"),
        ("base_conv", {"filter": "implicit", "kernel_size": 2}, "kernel_size = 2: must be left"),
        ("mamba", {"expand": True}, "expand = True"),
        ("mamba", {"expand": 1.0}, "expand = 1.0"),
        ("attention", {"rope": "no"}, "rope = 'no': must be True or False"),
        ("base_conv_autocorrelation", {"threshold": "a"}, "threshold = 'a'"),
        ("sparse_attention", {"selection": ["full"]}, "selection = ['full']"),
        ("sparse_attention", {"selection": "random", "p": "a"}, "p = 'a'"),
        ("sparse_attention", {"selection": "random", "p": True}, "p = True"),
        ("sparse_attention", {"selection": "learned", "noise": float("inf")}, "noise = inf"),
        ("sparse_attention", {"selection": "learned", "noise": "a"}, "noise = 'a'"),
        ("sparse_attention", {"selection": "programmatic", "blank": -1}, "blank = -1"),
        ("sparse_attention", {"selection": "random", "seed": 2**32}, "seed = 4294967296"),
    ],
)
def test_an_option_that_says_nothing_is_named(name, options, named):
    assert named in refusal(lambda: MIXERS[name](D, **options))


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("options", [{}, {"short_conv": 2}])
def test_dense_projections_are_a_part_of_what_is_counted(selection, options):
    """Rows that are not expected to ask have neither query nor output."""
    some = {"random": {"p": 0.25}, "learned": {"k": 4}}.get(selection, {})
    mixer = MIXERS["sparse_attention"](D, selection=selection, **some, **options)
    counted = cost.count(mixer, 3, 16)
    assert counted.projection_flops < counted.flops
    asking = {"random": 4, "learned": 4}.get(selection, 16)
    of_all, of_asking = (3, 1) if options else (2, 2)  # a convolution wants every query
    router = 16 * D if selection == "learned" else 0
    by_hand = 2 * 3 * (16 * of_all * D * D + asking * of_asking * D * D + router)
    assert counted.projection_flops == by_hand
    assert mixer.flops(0) == 0


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("attention", {"window": 2}),
        ("sliding_window", {"window": 2}),
        ("sparse_attention", {"selection": "programmatic"}),
        ("sparse_attention", {"selection": "learned", "k": 2}),
    ],
)
def test_forward_mode_and_vmap_where_a_mask_says_what_is_seen(name, options):
    torch.manual_seed(0)
    mixer = MIXERS[name](D, **options).double().eval()
    u, v = (torch.randn(2, N, D, dtype=torch.float64) for _ in range(2))
    ids = {"tokens": torch.randint(3, (2, N))} if mixer.wants_tokens else {}

    def f(x):
        return mixer(x, **ids)

    tangent = torch.func.jvp(f, (u,), (v,))[1]
    step = 1e-6
    assert torch.allclose(tangent, (f(u + step * v) - f(u - step * v)) / (2 * step), atol=1e-7)
    second = torch.func.jvp(lambda x: torch.func.jvp(f, (x,), (v,))[1], (u,), (v,))[1]
    difference = f(u + 1e-4 * v) - 2 * f(u) + f(u - 1e-4 * v)
    assert torch.allclose(second, difference / 1e-8, atol=1e-5)
    many = torch.stack([u, v])
    assert torch.allclose(torch.func.vmap(f)(many), torch.stack([f(u), f(v)]))


def test_a_draw_is_one_draw_however_often_its_derivative_is_used():
    torch.manual_seed(0)
    mixer = MIXERS["sparse_attention"](D, selection="random").double().eval()
    u, v = (torch.randn(2, N, D, dtype=torch.float64) for _ in range(2))
    y, tangent = torch.func.jvp(mixer, (u,), (v,))
    assert torch.allclose(y, mixer(u))
    again, linear = torch.func.linearize(mixer, u)
    assert torch.allclose(again, y)
    for _ in range(2):
        assert torch.allclose(linear(v), tangent)


@pytest.mark.parametrize("scale", [1.0, 200.0, 1e4])
@pytest.mark.parametrize("k", [1, 5, 16, 40])
def test_a_learned_row_that_is_kept_asks_however_saturated_its_gate(k, scale):
    """A sigmoid below the smallest float would be 0, which means that a row does not ask."""
    torch.manual_seed(0)
    mixer = MIXERS["sparse_attention"](8, selection="learned", k=k, noise=0.0)
    mixer.select.router.weight.data.normal_().mul_(scale)
    for _ in range(30):
        mixer(torch.randn(32, 40, 8))
        assert ((mixer.last_selection != 0).sum(1) == k).all()
    mixer.eval()
    mixer(torch.randn(500, 40, 8))
    assert (mixer.last_selection != 0).sum(1).double().mean().item() == pytest.approx(k, rel=0.2)
