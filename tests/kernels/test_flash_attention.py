"""Flash attention against its definition in float64, interpreted here or compiled on a GPU."""

import pytest
import torch

from zoology_teach.kernels import attention_tiles
from zoology_teach.kernels.flash_attention import attention, reference

# Relative to the largest number. Sums are kept in float32: 6e-8 for each of some hundred terms,
# of either sign. With 16-bit numbers the weights p, their gradients and the result are each
# rounded once, by 5e-4 (float16) or 4e-3 (bfloat16), and backward starts from a rounded result.
FORWARD = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}
BACKWARD = {**FORWARD, torch.float32: 1e-4}

# (B, H, N, d), window. Tiles hold 128 rows in 16 bits, 32 in float32, and d is padded.
CASES = [
    ((2, 2, 1, 16), None),
    ((1, 3, 33, 5), None),
    ((2, 1, 150, 40), None),
    ((1, 1, 150, 128), 1000),
    ((1, 1, 260, 64), 37),
    ((1, 1, 130, 128), 1),
    ((1, 1, 300, 64), 200),
]


def draw(shape, dtype, device, seed=0):
    """q, k, v and weights for the sum of the result."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator).to(device, dtype) for _ in range(4)]


def run(q, k, v, weight, impl, window=None):
    """The result, and the gradients of its weighted sum."""
    inputs = [x.detach().requires_grad_() for x in (q, k, v)]
    out = attention(*inputs, window, impl=impl)
    return out.detach(), *torch.autograd.grad(out, inputs, weight)


def worst(got, want):
    assert got.shape == want.shape
    return float((got.double() - want).abs().max() / want.abs().max().clamp(min=0.1))


@pytest.mark.parametrize("dtype", FORWARD, ids=str)
@pytest.mark.parametrize("shape, window", CASES, ids=str)
def test_agrees_with_the_definition_in_float64(shape, window, dtype, device):
    drawn = draw(shape, dtype, device)
    got = run(*drawn, "triton", window)
    want = run(*(x.double() for x in drawn), "reference", window)
    assert all(x.dtype == dtype for x in got)
    assert worst(got[0], want[0]) <= FORWARD[dtype]
    for name, g, w in zip("qkv", got[1:], want[1:], strict=True):
        assert worst(g, w) <= BACKWARD[dtype], name


def test_the_reference_is_softmax_over_what_is_seen(device):
    q, k, v, _ = draw((1, 2, 9, 4), torch.float64, device)
    for window in (None, 1, 3):
        out = reference(q, k, v, window)
        for t in range(9):
            first = 0 if window is None else max(0, t - window + 1)
            scores = k[:, :, first : t + 1] @ q[:, :, t, :, None] / 2
            want = (scores.softmax(2) * v[:, :, first : t + 1]).sum(2)
            assert torch.allclose(out[:, :, t], want)


@pytest.mark.parametrize("rows, tokens", [(16, 32), (32, 16)])
def test_every_way_a_window_cuts_a_tile(rows, tokens, device, monkeypatch):
    tile = {"BM": rows, "BN": tokens, "num_warps": 4}
    monkeypatch.setattr(attention_tiles, "tiles", lambda *_: tile)
    sizes = [(n, w) for n in (16, 31, 65, 80) for w in (1, 2, 15, 16, 17, 33, 48, 64, None)]
    for n, window in sizes:
        drawn = draw((1, 1, n, 16), torch.float64, device, seed=n)
        got, want = run(*drawn, "triton", window), run(*drawn, "reference", window)
        assert all(worst(g, w) <= 1e-12 for g, w in zip(got, want, strict=True)), (n, window)


@pytest.mark.parametrize("window", [None, 7])
def test_gradients_in_float64(window, device):
    q, k, v, _ = (x.requires_grad_() for x in draw((1, 2, 20, 5), torch.float64, device))
    assert torch.autograd.gradcheck(
        lambda *inputs: attention(*inputs, window, impl="triton"), (q, k, v), fast_mode=True
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_tiles_that_nobody_sees_are_not_read(dtype, device):
    """NaN spreads through any product, even with a weight of 0."""
    q, k, v, weight = draw((1, 1, 512, 16), dtype, device)
    middle = slice(128, 256)
    out, dq, dk, dv = (x[:, :, middle] for x in run(q, k, v, weight, "triton", 20))
    for x in (k, v):  # in the middle, token 109 is the oldest in sight and 255 the newest
        x[:, :, :64] = x[:, :, 256:] = float("nan")
    got = run(q, k, v, weight, "triton", 20)
    assert torch.equal(got[0][:, :, middle], out) and torch.equal(got[1][:, :, middle], dq)
    q, k, v, weight = draw((1, 1, 512, 16), dtype, device)
    weight[:, :, :128] = weight[:, :, 320:] = float("nan")  # row 274 is the last to see token 255
    got = run(q, k, v, weight, "triton", 20)
    assert torch.equal(got[2][:, :, middle], dk) and torch.equal(got[3][:, :, middle], dv)


@pytest.mark.parametrize("size", [0.0, 8.0])
def test_equal_scores_and_huge_ones(size, device):
    """Equal scores are a running mean; e^250 overflows if no maximum is taken off first."""
    q, k, v, weight = draw((1, 1, 70, 16), torch.float32, device)
    drawn = (q * size, k * size, v, weight)
    got, want = run(*drawn, "triton"), run(*(x.double() for x in drawn), "reference")
    assert all(worst(g, w) <= 1e-4 for g, w in zip(got, want, strict=True))


def test_an_empty_batch_and_an_empty_sequence(device):
    for shape in [(0, 2, 5, 8), (2, 2, 0, 8)]:
        for x in run(*draw(shape, torch.float32, device), "triton"):
            assert x.shape == shape


def test_non_contiguous_inputs_and_gradients(device):
    drawn = draw((2, 3, 9, 8), torch.float32, device)
    for wide in (
        [x.transpose(1, 2).contiguous().transpose(1, 2) for x in drawn],
        [x.mT.contiguous().mT for x in drawn],
    ):
        assert not any(x.is_contiguous() for x in wide)
        for got, want in zip(run(*wide, "triton"), run(*drawn, "triton"), strict=True):
            assert torch.equal(got, want)


@pytest.mark.parametrize("dtype", FORWARD, ids=str)
def test_repeated_runs_are_bitwise_equal(dtype, device):
    drawn = draw((1, 2, 140, 16), dtype, device)
    for first, second in zip(run(*drawn, "triton", 50), run(*drawn, "triton", 50), strict=True):
        assert torch.equal(first, second)


def test_survives_torch_compile(device):
    drawn = draw((2, 2, 20, 8), torch.float32, device)
    compiled = torch.compile(
        lambda q, k, v: attention(q, k, v, 5, impl="triton") * 2,
        backend="aot_eager",
        fullgraph=True,
    )
    inputs = [x.requires_grad_() for x in drawn[:3]]
    out = compiled(*inputs)
    got = (out.detach(), *torch.autograd.grad(out, inputs, drawn[3]))
    for g, w in zip(got, run(*drawn, "triton", 5), strict=True):
        assert torch.equal(g, 2 * w)


def test_a_wide_head_is_left_to_the_reference(device):
    q, k, v, _ = draw((1, 1, 5, 129), torch.float32, device)
    assert torch.equal(attention(q, k, v), reference(q, k, v))
    with pytest.raises(ValueError, match=r"^q shape = \(1, 1, 5, 129\): must be d <= 128"):
        attention(q, k, v, impl="triton")


@pytest.mark.parametrize(
    "message, change",
    [
        (r"q shape = \(2, 3\)", {"q": torch.zeros(2, 3)}),
        (r"q shape = \(1, 2, 3, 0\)", {"q": torch.zeros(1, 2, 3, 0)}),
        (r"k shape = \(1, 2, 3, 5\)", {"k": torch.zeros(1, 2, 3, 5)}),
        (r"k shape = \(1, 2, 9, 4\)", dict.fromkeys("kv", torch.zeros(1, 2, 9, 4))),
        (r"v shape = \(1, 2, 9, 4\)", {"v": torch.zeros(1, 2, 9, 4)}),
        ("q dtype = torch.int64", {"q": torch.zeros(1, 2, 3, 4, dtype=torch.int64)}),
        ("v dtype = torch.float16: must be q's", {"v": torch.zeros(1, 2, 3, 4).half()}),
        ("window = 0", {"window": 0}),
        ("window = 2.0", {"window": 2.0}),
        ("impl = 'cuda'", {"impl": "cuda"}),
    ],
)
def test_wrong_use_names_the_argument(message, change):
    with pytest.raises(ValueError, match="^" + message):
        attention(**{**dict.fromkeys("qkv", torch.zeros(1, 2, 3, 4)), **change})
