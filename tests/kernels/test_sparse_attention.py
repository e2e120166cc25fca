"""Sparse attention against its definition in float64, interpreted here or compiled on a GPU."""

import pytest
import torch

from zoology_teach.kernels import attention_tiles, flash_attention
from zoology_teach.kernels import sparse_attention as module
from zoology_teach.kernels.sparse_attention import reference, sparse_attention

# Relative to the largest number. Sums are kept in float32: 6e-8 for each of some hundred terms,
# of either sign. With 16-bit numbers the weights p, their gradients and the result are each
# rounded once, by 5e-4 (float16) or 4e-3 (bfloat16), and backward starts from a rounded result.
FORWARD = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}
BACKWARD = {**FORWARD, torch.float32: 1e-4}

# (B, H, k, N, d). Tiles hold 128 rows and 64 tokens in 16 bits, 32 and 16 in float32; d is padded.
# One token; few rows of few tokens; several ragged tiles of rows and tokens; the widest head;
# rows that fill a tile; more rows than tokens.
CASES = [
    (2, 2, 1, 1, 16),
    (2, 3, 3, 33, 5),
    (2, 1, 150, 260, 40),
    (1, 1, 45, 150, 128),
    (1, 1, 128, 200, 64),
    (1, 2, 50, 7, 8),
]


def draw(shape, dtype, device, seed=0):
    """q, k, v, positions and weights for the sum of the result.

    Positions are unsorted and repeated; a fifth of them is negative, but the first is not.
    """
    generator = torch.Generator().manual_seed(seed)
    b, h, rows, n, d = shape
    sizes = [(b, h, size, d) for size in (rows, n, n, rows)]
    q, k, v, weight = (torch.randn(s, generator=generator).to(device, dtype) for s in sizes)
    positions = torch.randint(-(n // 4), n, (b, rows), generator=generator)
    positions[:, :1].clamp_(min=0)
    return q, k, v, positions.to(device), weight


def run(q, k, v, positions, weight, impl="triton", function=sparse_attention):
    """The result, and the gradients of its weighted sum."""
    inputs = [x.detach().requires_grad_() for x in (q, k, v)]
    out = function(*inputs, positions, impl=impl)
    return out.detach(), *torch.autograd.grad(out, inputs, weight)


def in_float64(q, k, v, positions, weight):
    q, k, v, weight = (x.double() for x in (q, k, v, weight))
    return run(q, k, v, positions, weight, "reference")


def worst(got, want):
    assert got.shape == want.shape
    return float((got.double() - want).abs().max() / want.abs().max().clamp(min=0.1))


@pytest.mark.parametrize("dtype", FORWARD, ids=str)
@pytest.mark.parametrize("shape", CASES, ids=str)
def test_agrees_with_the_definition_in_float64(shape, dtype, device):
    drawn = draw(shape, dtype, device)
    got, want = run(*drawn), in_float64(*drawn)
    assert all(x.dtype == dtype for x in got)
    assert worst(got[0], want[0]) <= FORWARD[dtype]
    for name, g, w in zip("qkv", got[1:], want[1:], strict=True):
        assert worst(g, w) <= BACKWARD[dtype], name


def test_the_reference_is_softmax_over_the_past_of_each_row(device):
    q, k, v, positions, _ = draw((3, 2, 8, 9, 4), torch.float64, device)
    assert (positions < 0).any()
    out = reference(q, k, v, positions)
    for b, i in positions.ge(-9).nonzero().tolist():
        past = slice(0, max(0, int(positions[b, i]) + 1))
        scores = k[b, :, past] @ q[b, :, i, :, None] / 2
        assert torch.allclose(out[b, :, i], (scores.softmax(1) * v[b, :, past]).sum(1))


@pytest.mark.parametrize("n", [1, 16, 45])
def test_all_rows_are_flash_attention(n, device):
    """In any order."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(n)).to(device)
    q, k, v, _, weight = draw((2, 1, n, n, 8), torch.float64, device)
    inputs = [x.detach().requires_grad_() for x in (q, k, v)]
    out = flash_attention.reference(*inputs)
    want = out.detach(), *torch.autograd.grad(out, inputs, weight)
    for rows in (torch.arange(n, device=device), order):
        out, dq, dk, dv = run(q[:, :, rows], k, v, rows.expand(2, n), weight[:, :, rows])
        back = rows.argsort()
        for g, w in zip((out[:, :, back], dq[:, :, back], dk, dv), want, strict=True):
            assert worst(g, w) <= 1e-13


def test_rows_are_sorted_and_put_back(device):
    """A shuffle of the rows shuffles their results; equal rows at one position have equal ones."""
    q, k, v, positions, weight = draw((1, 1, 50, 40, 8), torch.float64, device)
    q[:, :, 7], positions[:, 7], weight[:, :, 7] = q[:, :, 33], positions[:, 33], weight[:, :, 33]
    out, dq, dk, dv = run(q, k, v, positions, weight)
    assert torch.equal(out[:, :, 7], out[:, :, 33]) and torch.equal(dq[:, :, 7], dq[:, :, 33])
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1)).to(device)
    got = run(q[:, :, order], k, v, positions[:, order], weight[:, :, order])
    for g, w in zip(got, (out[:, :, order], dq[:, :, order], dk, dv), strict=True):
        assert worst(g, w) <= 1e-13


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64], ids=str)
def test_unused_slots_are_zero_and_have_no_gradient(dtype, device):
    q, k, v, positions, weight = draw((1, 1, 60, 40, 8), torch.float64, device)
    positions = positions.to(dtype)
    positions[0, 5] = torch.iinfo(dtype).min
    used = positions[0] >= 0
    out, dq, dk, dv = run(q, k, v, positions, weight)
    assert not out[:, :, ~used].any() and not dq[:, :, ~used].any()
    want = run(q[:, :, used], k, v, positions[:, used], weight[:, :, used])
    for g, w in zip((out[:, :, used], dq[:, :, used], dk, dv), want, strict=True):
        assert worst(g, w) <= 1e-13
    for x in run(q, k, v, torch.full_like(positions, -1), weight):
        assert not x.any()


def set_tiles(monkeypatch, rows, tokens):
    tile = {"BM": rows, "BN": tokens, "num_warps": 4}
    monkeypatch.setattr(attention_tiles, "tiles", lambda *_: tile)


@pytest.mark.parametrize("rows, tokens", [(16, 32), (32, 16)])
def test_every_way_rows_cut_a_tile(rows, tokens, device, monkeypatch):
    """Rows anywhere, and all at one position, on either side of a tile's edge."""
    set_tiles(monkeypatch, rows, tokens)
    for count, n in [(1, 16), (17, 31), (40, 65)]:
        q, k, v, anywhere, weight = draw((1, 1, count, n, 16), torch.float64, device, seed=n)
        edges = {p for p in (0, 14, 15, 16, 30, 31, 32, 64) if p < n}
        for positions in [anywhere, *(torch.full_like(anywhere, p) for p in edges)]:
            got, want = (run(q, k, v, positions, weight, impl) for impl in ("triton", "reference"))
            for g, w in zip(got, want, strict=True):
                assert worst(g, w) <= 1e-12, (count, n, positions)


@pytest.mark.filterwarnings("ignore:All-NaN slice")  # the interpreter's, about what others read
def test_tiles_that_no_row_sees_are_not_read(device, monkeypatch):
    """NaN spreads through any product, even with a weight of 0."""
    set_tiles(monkeypatch, 16, 32)
    q, k, v, _, weight = draw((1, 1, 64, 128, 16), torch.float32, device)
    generator = torch.Generator().manual_seed(0)
    positions = torch.arange(64) // 16 * 32 + torch.randint(0, 32, (64,), generator=generator)
    positions = positions[torch.randperm(64, generator=generator)].to(device)[None]
    early, late = positions[0] < 64, positions[0] >= 64  # two tiles of rows each
    out, dq, dk, dv = run(q, k, v, positions, weight)
    future = torch.arange(128, device=device) >= 64
    hidden = future[:, None].expand(128, 16)
    got = run(q, *(x.masked_fill(hidden, float("nan")) for x in (k, v)), positions, weight)
    assert torch.equal(got[0][:, :, early], out[:, :, early])
    assert torch.equal(got[1][:, :, early], dq[:, :, early])
    got = run(q, k, v, positions, weight.masked_fill(early[:, None], float("nan")))
    assert torch.equal(got[1][:, :, late], dq[:, :, late])
    assert torch.equal(got[2][:, :, future], dk[:, :, future])
    assert torch.equal(got[3][:, :, future], dv[:, :, future])


class Counted:
    """A kernel that keeps the grids it is launched with."""

    def __init__(self, kernel):
        self.kernel, self.grids = kernel, []

    def __getitem__(self, grid):
        self.grids.append(grid)
        return self.kernel[grid]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_rows_that_are_not_selected_cost_nothing(dtype, device, monkeypatch):
    """Neither programs, nor a look at the tokens behind the last selected one."""
    q, k, v, positions, weight = draw((1, 2, 40, 128, 16), dtype, device)
    want = run(q, k, v, positions, weight)
    kernels = [Counted(module.forward_kernel), Counted(module.query_kernel)]
    for name, kernel in zip(("forward_kernel", "query_kernel"), kernels, strict=True):
        monkeypatch.setattr(module, name, kernel)
    longer = [torch.cat([x, x.new_full((1, 2, 896, 16), float("nan"))], 2) for x in (k, v)]
    out, dq, dk, dv = run(q, *longer, positions, weight)
    for g, w in zip((out, dq, dk[:, :, :128], dv[:, :, :128]), want, strict=True):
        assert torch.equal(g, w)
    assert not dk[:, :, 128:].any() and not dv[:, :, 128:].any()
    programs = 2 * (2 if dtype == torch.float32 else 1)  # of 32 rows, or of 128
    assert [kernel.grids for kernel in kernels] == [[(programs,)]] * 2


@pytest.mark.parametrize("shape", [(2, 2, 0, 20, 8), (0, 2, 5, 20, 8), (2, 2, 3, 0, 8)], ids=str)
def test_no_rows_no_batch_and_no_tokens(shape, device):
    b, h, rows, n, d = shape
    sizes = [(b, h, size, d) for size in (rows, n, n, rows)]
    q, k, v, weight = (torch.ones(s, device=device) for s in sizes)
    positions = torch.full((b, rows), min(n, 1) - 1, device=device)
    for got, want in zip(run(q, k, v, positions, weight), (q, q, k, v), strict=True):
        assert got.shape == want.shape and not got.any()


@pytest.mark.parametrize("size", [0.0, 8.0])
def test_equal_scores_and_huge_ones(size, device):
    """Equal scores are a mean of the past; e^250 overflows if no maximum is taken off first."""
    q, k, v, positions, weight = draw((1, 1, 40, 70, 16), torch.float32, device)
    drawn = (q * size, k * size, v, positions, weight)
    for got, want in zip(run(*drawn), in_float64(*drawn), strict=True):
        assert worst(got, want) <= 1e-4


def test_gradients_in_float64(device):
    q, k, v, positions, _ = draw((2, 2, 8, 20, 5), torch.float64, device)
    assert (positions < 0).any()
    inputs = [x.requires_grad_() for x in (q, k, v)]
    assert torch.autograd.gradcheck(
        lambda *inputs: sparse_attention(*inputs, positions, impl="triton"), inputs, fast_mode=True
    )


def test_are_whole_operators(device):
    """Shapes without data, gradients and what torch.compile asks, of both."""
    q, k, v, positions, weight = draw((2, 2, 8, 20, 5), torch.float32, device)
    at, order = positions.clamp(min=-1).int().sort(stable=True)
    inputs = q, k, v, at, order.int()
    out, lse = module._forward(*inputs)
    torch.library.opcheck(module._backward, (*inputs, out, lse, weight))
    for x in inputs[:3]:
        x.requires_grad_()
    torch.library.opcheck(module._forward, inputs)


def test_only_the_gradient_that_is_asked_for(device):
    *inputs, positions, weight = draw((1, 2, 9, 20, 8), torch.float32, device)
    _, *wants = run(*inputs, positions, weight)
    for i, want in enumerate(wants):
        alone = [x.detach().requires_grad_(i == j) for j, x in enumerate(inputs)]
        out = sparse_attention(*alone, positions, impl="triton")
        (got,) = torch.autograd.grad(out, alone[i], weight)
        assert torch.equal(got, want)


@pytest.mark.parametrize("shape", [(1, 2, 45, 70, 5), (1, 1, 5, 20, 16)], ids=str)
def test_nothing_is_written_beside_the_results(shape, device, monkeypatch):
    """All that they are written into lies within larger buffers of NaN."""
    buffers, margin = [], 8192

    def within(allocate):
        def allocated(*args, **kwargs):
            x = allocate(*args, **kwargs)
            if not x.numel():
                return x
            buffers.append(x.new_full((x.numel() + 2 * margin,), float("nan")))
            return buffers[-1][margin:-margin].view(x.shape)

        return allocated

    for owner, name in [(torch, "empty"), (torch, "empty_like"), (torch.Tensor, "new_empty")]:
        monkeypatch.setattr(owner, name, within(getattr(owner, name)))
    run(*draw(shape, torch.float32, device))
    assert len(buffers) >= 6  # out, lse, delta and three gradients
    for buffer in buffers:
        assert not buffer[margin:-margin].isnan().any()
        assert buffer[:margin].isnan().all() and buffer[-margin:].isnan().all()


def test_non_contiguous_inputs_and_gradients(device):
    drawn = draw((2, 3, 9, 20, 8), torch.float32, device)
    wide = [torch.stack([x, x], -1)[..., 0] for x in drawn]
    assert not any(x.is_contiguous() for x in wide)
    for got, want in zip(run(*wide), run(*drawn), strict=True):
        assert torch.equal(got, want)
    *inputs, positions, _ = drawn
    expanded = positions[:1].expand(2, 9)
    want = sparse_attention(*inputs, expanded.clone(), impl="triton")
    assert torch.equal(sparse_attention(*inputs, expanded, impl="triton"), want)


@pytest.mark.parametrize("dtype", FORWARD, ids=str)
def test_repeated_runs_are_bitwise_equal(dtype, device):
    """A token's gradient is a sum over several tiles of rows."""
    drawn = draw((1, 2, 140, 90, 16), dtype, device)
    for first, second in zip(run(*drawn), run(*drawn), strict=True):
        assert torch.equal(first, second)


def test_survives_torch_compile(device):
    drawn = draw((2, 2, 9, 20, 8), torch.float32, device)

    def twice(*inputs, impl):
        return sparse_attention(*inputs, impl=impl) * 2

    compiled = torch.compile(twice, backend="aot_eager", fullgraph=True)
    for got, want in zip(run(*drawn, function=compiled), run(*drawn), strict=True):
        assert torch.equal(got, 2 * want)


@pytest.mark.parametrize("impl", ["triton", "reference"])
def test_positions_that_reach_n_see_all_where_they_are_not_checked(impl, device):
    q, k, v, positions, weight = draw((1, 2, 9, 20, 8), torch.float32, device)
    beyond = torch.where(positions > 9, positions + 2**40, positions)
    compiled = torch.compile(sparse_attention, backend="aot_eager", fullgraph=True)
    got = run(q, k, v, beyond, weight, impl, compiled)
    for g, w in zip(got, run(q, k, v, beyond.clamp(max=19), weight, impl), strict=True):
        assert torch.equal(g, w)


def test_a_wide_head_is_left_to_the_reference(device):
    q, k, v, positions, _ = draw((1, 1, 5, 9, 129), torch.float32, device)
    assert torch.equal(sparse_attention(q, k, v, positions), reference(q, k, v, positions))
    with pytest.raises(ValueError, match=r"^q shape = \(1, 1, 5, 129\): must be d <= 128"):
        sparse_attention(q, k, v, positions, impl="triton")


@pytest.mark.parametrize(
    "message, change",
    [
        (r"q shape = \(2, 3\)", {"q": torch.zeros(2, 3)}),
        (r"q shape = \(1, 2, 3, 0\)", {"q": torch.zeros(1, 2, 3, 0)}),
        (r"k shape = \(1, 2, 9, 5\)", {"k": torch.zeros(1, 2, 9, 5)}),
        (r"k shape = \(1, 1, 9, 4\)", {"k": torch.zeros(1, 1, 9, 4)}),
        (r"v shape = \(1, 2, 8, 4\): must be k's", {"v": torch.zeros(1, 2, 8, 4)}),
        (r"positions shape = \(1, 9\): must be \(1, 3\)", {"positions": torch.arange(9)[None]}),
        (r"positions shape = \(3,\)", {"positions": torch.arange(3)}),
        ("positions dtype = torch.float32", {"positions": torch.zeros(1, 3)}),
        ("positions dtype = torch.bool", {"positions": torch.zeros(1, 3).bool()}),
        (
            "positions device = .*meta.*: must be",
            {"positions": torch.zeros(1, 3).long().to("meta")},
        ),
        ("positions = 9: must be below N = 9", {"positions": torch.tensor([[0, 9, -1]])}),
        ("q dtype = torch.int64", {"q": torch.zeros(1, 2, 3, 4, dtype=torch.int64)}),
        ("v dtype = torch.float16: must be q's", {"v": torch.zeros(1, 2, 9, 4).half()}),
        ("impl = 'cuda'", {"impl": "cuda"}),
    ],
)
def test_wrong_use_names_the_argument(message, change):
    q, kv = torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 9, 4)
    with pytest.raises(ValueError, match="^" + message):
        sparse_attention(**{"q": q, "k": kv, "v": kv, "positions": torch.arange(3)[None], **change})
