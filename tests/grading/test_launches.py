"""A kernel exercise is done by a kernel: PyTorch, under whatever cover, earns nothing."""

import math

import pytest
import torch
from torch.nn.functional import pad

from tests.mutants import ch12, ch13
from zoology_teach.grading import check
from zoology_teach.grading.check import EXERCISES
from zoology_teach.grading.ladder import climb
from zoology_teach.grading.launches import LAUNCH
from zoology_teach.grading.notebooks import as_notebook
from zoology_teach.grading.sandbox import Sandbox
from zoology_teach.grading.session import grade_one
from zoology_teach.grading.submissions import Submission
from zoology_teach.kernels.interpreter import tl, triton

pytestmark = [pytest.mark.kernel]
pytest.importorskip("triton")


def scale_and_add(a, x, y, out, block):
    out[: len(x)] = a * x + y
    return out


def short_conv(u, h, step, out, block):
    n = u.shape[1]
    back = range(0, min(n, h.shape[1] * step), step)
    total = sum(pad(u[:, : n - i], (0, 0, i, 0)) * h[:, i // step] for i in back)
    out[: u.shape[0] * n] = total.flatten(0, 1)
    return out


def grad_input(h, g, e, step, out, block):
    n, c = e.shape[1], g * e
    ahead = range(0, min(n, h.shape[1] * step), step)
    total = sum(pad(c[:, i:], (0, 0, 0, i)) * h[:, i // step] for i in ahead)
    out[: e.shape[0] * n] = total.flatten(0, 1)
    return out


def toeplitz_tile(h, n, k, out, block):
    lag = k * block + torch.arange(block)[:, None] - torch.arange(block)
    out[:block] = h[lag.clamp(0, n - 1)].where((lag >= 0) & (lag < n), 0.0)
    return out


def softmax_average(z, v, out, block):
    out[: len(z)] = z.softmax(1) @ v
    return out


def sparse_rows(q, k, v, positions, window, out, block):
    for i, t in enumerate(positions.tolist()):
        seen = slice(max(0, t + 1 - window), t + 1)
        out[i] = (k[seen] @ q[i] / math.sqrt(q.shape[1])).softmax(0) @ v[seen]
    return out


def split_row(q, k, v, programs, parts, out, block):
    out[: len(q)] = (k @ q / math.sqrt(len(q))).softmax(0) @ v
    return out


PLAIN = [
    scale_and_add, short_conv, grad_input, toeplitz_tile, softmax_average, sparse_rows, split_row,
]  # fmt: skip
IDS = dict(zip([e for e in sorted(EXERCISES) if EXERCISES[e].kernel], PLAIN, strict=True))


@pytest.mark.parametrize("exercise_id", IDS)
def test_plain_pytorch_is_called_by_its_name(exercise_id):
    report = check(exercise_id, IDS[exercise_id])
    assert report.earned == 0
    assert report.outcomes[0].rung == "a kernel does it"
    assert "no Triton kernel was launched: PyTorch" in report.outcomes[0].reason


@pytest.mark.parametrize("exercise_id", IDS)
def test_where_kernels_are_compiled_values_and_launches_are_judged(exercise_id):
    def compiled(grids, wrong=0):
        def call(*arguments):
            copies = [a.clone() if isinstance(a, torch.Tensor) else a for a in arguments]
            return IDS[exercise_id](*copies) + wrong, {"grids": grids}

        return climb(EXERCISES[exercise_id], call, 3)

    assert all(outcome.earned for outcome in compiled([(4,), ()]))
    assert not any(outcome.earned for outcome in compiled([]))
    assert not any(outcome.earned for outcome in compiled([(4,)], wrong=1)[1:])


@triton.jit
def load_and_store(x, y, source, out, n, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    mine = i < n
    idle = tl.load(x + i, mask=mine, other=0.0) + tl.load(y + i, mask=mine, other=0.0)
    tl.store(out + i, tl.load(source + i, mask=mine, other=0.0) + 0 * idle, mask=mine)


@triton.jit
def store_one(out, i, value):
    tl.store(out + i, value)


def carry(x, y, source, out):
    load_and_store[(1,)](x, y, source, out, len(x), triton.next_power_of_2(len(x)))
    return out


def for_show(a, x, y, out, block):
    carry(x, y, torch.zeros_like(x), out)
    return scale_and_add(a, x, y, out, block)


def carried_over(a, x, y, out, block):
    return carry(x, y, a * x + y, out)


def through_an_input(a, x, y, out, block):
    x.copy_(a * x + y)
    return carry(x, y, x, out)


def through_the_output(a, x, y, out, block):
    return carry(x, y, scale_and_add(a, x, y, out, block), out)


def through_room_of_its_own(a, x, y, out, block):
    scratch = torch.zeros_like(x)
    carry(x, y, torch.zeros_like(x), scratch)
    scratch.copy_(a * x + y)
    return carry(x, y, scratch, out)


def one_by_one(a, x, y, out, block):
    for i, value in enumerate((a * x + y).tolist()):
        store_one[(1,)](out, i, value)
    return out


def says_what_was_done(a, x, y, out, block):
    return scale_and_add(a, x, y, out, block), {"grids": [(1, 1, 1)]}


def elsewhere(a, x, y, out, block):
    ch12.add(a, x, y, torch.empty_like(out), block)
    return scale_and_add(a, x, y, out, block)


FORGED = {
    for_show: "PyTorch wrote out[0], not your kernel",
    carried_over: "program 0 read a tensor that PyTorch had made",
    through_an_input: "program 0 read x[0] after PyTorch had changed it",
    through_the_output: "program 0 read out[0] after PyTorch had changed it",
    through_room_of_its_own: "program 0 read a tensor that PyTorch had made",
    one_by_one: "16 launches: let the programs of one grid do it",
    says_what_was_done: "no Triton kernel was launched",
    elsewhere: "no program stored a number in `out`",
}


@pytest.mark.parametrize("forged", FORGED, ids=lambda f: f.__name__)
def test_pytorch_under_cover_of_a_kernel_earns_nothing(forged):
    report = check("12.a", forged)
    assert report.earned == 0
    assert FORGED[forged] in report.outcomes[0].reason


def reason(exercise_id, f, rung):
    (outcome,) = [o for o in check(exercise_id, f).outcomes if o.rung == rung]
    return outcome.reason


def test_a_failed_kernel_is_shown_program_by_program():
    def too_few(a, x, y, out, block):
        return ch12.add(a, x, y, out, block, programs=2)

    assert reason("12.a", too_few, "a ragged end").endswith(
        "(no program wrote out[16] and 2 more; 2 programs; "
        "0 read x 0-7, y 0-7, wrote out 0-7; 1 read x 8-15, y 8-15, wrote out 8-15)"
    )


def test_two_programs_that_write_one_number_are_named():
    told = reason("12.a", ch12.all_take_the_first_block, "several blocks")
    assert "programs 0 and 1 both wrote out[0]" in told


def test_one_program_may_not_do_the_work_of_all():
    def alone(u, h, step, out, block):
        return ch12.conv(u, h, step, out, triton.next_power_of_2(len(out)))

    told = reason("12.b", alone, "over the edge of a tile")
    assert "program 0 wrote 64 numbers; 16 are its own" in told


@triton.jit
def loose_kernel(a, x, y, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + i, a * tl.load(x + i) + tl.load(y + i), mask=i < n)


def test_reading_beyond_an_input_is_seen():
    def loose(a, x, y, out, block):
        loose_kernel[(triton.cdiv(len(x), block),)](a, x, y, out, len(x), block)
        return out

    assert not reason("12.a", loose, "a ragged end")
    told = reason("12.a", loose, "nothing behind the end")
    assert "program 2 read beyond the end of x: mask the load" in told


@triton.jit
def bare_kernel(a, x, y, out, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + i, a * tl.load(x + i) + tl.load(y + i))


def test_of_a_kernel_without_masks_the_store_is_named_first():
    def bare(a, x, y, out, block):
        bare_kernel[(triton.cdiv(len(x), block),)](a, x, y, out, block)
        return out

    told = reason("12.a", bare, "nothing behind the end")
    assert "(program 2 wrote out[19]: yours end with out[18])" in told


@pytest.mark.parametrize("wrong", [lambda out, n: out[:n], lambda out, n: None])
def test_what_is_to_be_returned_is_said(wrong):
    def scale_and_add(a, x, y, out, block):
        return wrong(ch12.add(a, x, y, out, block), len(x))

    assert reason("12.a", scale_and_add, "a kernel does it").endswith(
        ": return `out`, and all of it)"
    )


@triton.jit
def astray_kernel(a, x, y, out, n, far, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    total = a * tl.load(x + i, mask=i < n) + tl.load(y + i, mask=i < n)
    tl.store(out + i, total, mask=i < n)
    tl.store(out + i + far, total, mask=i < n)


def astray(far):
    def scale_and_add(a, x, y, out, block):
        grid = (triton.cdiv(len(x), block),)
        astray_kernel[grid](a, x, y, out, len(x), far, block)
        return out

    return scale_and_add


def test_writing_far_outside_ends_no_process_and_is_named():
    report = check("12.a", astray(10**12))
    assert report.earned == 0
    assert report.outcomes[0].reason.startswith(LAUNCH)
    told = "(program 0 was to write outside of the tensors that its kernel was given, which may end"
    assert told in report.outcomes[0].reason


def test_where_a_kernel_strays_from_is_told():
    def every_second(a, x, y, out, block):
        leap_kernel[(1,)](a, x, y, out, len(x), 10**9, triton.next_power_of_2(len(x)))
        return out

    told = reason("12.a", every_second, "a kernel does it")
    assert "its kernel was given (beyond the end of out), which may end the process" in told


@triton.jit
def leap_kernel(a, x, y, out, n, far, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    total = a * tl.load(x + i, mask=i < n) + tl.load(y + i, mask=i < n)
    tl.store(out + i * far, total, mask=i < n)


@pytest.mark.parametrize(
    ("far", "said"),
    [
        (100, "program 0 wrote beyond the end of out: yours end with out[18]"),
        (-100, "program 0 wrote before the beginning of out: yours end with out[18]"),
    ],
)
def test_writing_where_nothing_is_ones_own_is_seen(far, said):
    lost = [o for o in check("12.a", astray(far)).outcomes if not o.earned]
    assert lost[0].rung == "nothing behind the end" and said in lost[0].reason


def test_what_lies_beside_a_tensor_is_told_in_words():
    def wrong_too(a, x, y, out, block):
        return astray(36)(-a, x, y, out, block)

    told = reason("12.a", wrong_too, "several blocks")  # out has 32 numbers and room for 12
    assert "0 read x 0-7, y 0-7, wrote out 0-7, 36-43; 1 read" in told
    assert "wrote out 8-15, beyond it" in told


def test_writing_into_an_input_is_seen():
    def into_x(a, x, y, out, block):
        ch12.add(a, x, y, out, block)
        return ch12.add(a, x, y, x, block) is None or out

    assert "program 0 wrote x[0]: it is an input" in reason(
        "12.a", into_x, "nothing behind the end"
    )


def test_a_number_that_nobody_wrote_is_no_masked_load():
    """The solution's loads have no `other=` either."""

    def too_few(a, x, y, out, block):
        masked_kernel[(2,)](a, x, y, out, len(x) - 9, block)
        return out

    told = reason("12.a", too_few, "a ragged end")
    assert "no program wrote out[10] and 8 more" in told and "other=" not in told


@triton.jit
def masked_kernel(a, x, y, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    total = a * tl.load(x + i, mask=i < n) + tl.load(y + i, mask=i < n)
    tl.store(out + i, total, mask=i < n)


@triton.jit
def unguarded_conv(u, h, out, M, N, STEP, D: tl.constexpr, TAPS: tl.constexpr, BM: tl.constexpr):
    row, d = tl.program_id(0) * BM + tl.arange(0, BM)[:, None], tl.arange(0, 8)[None, :]
    mine, place = (row < M) & (d < D), row * D + d
    total = tl.zeros((BM, 8), tl.float32)
    for lag in tl.static_range(TAPS):
        tile = tl.load(u + place - lag * STEP * D, mask=mine & (row % N >= lag * STEP))
        total += tile * tl.load(h + d * TAPS + lag, mask=d < D, other=0.0)
    tl.store(out + place, total, mask=mine)


@triton.jit
def looks_back_kernel(u, h, out, M, STEP, D: tl.constexpr, TAPS: tl.constexpr, BM: tl.constexpr):
    place = (tl.program_id(0) * BM + tl.arange(0, BM)[:, None]) * D + tl.arange(0, D)[None, :]
    total = tl.zeros((BM, D), tl.float32)
    for lag in tl.static_range(TAPS):
        taps = tl.load(h + tl.arange(0, D)[None, :] * TAPS + lag)
        total += taps * tl.load(u + place - lag * STEP * D)
    tl.store(out + place, total, mask=place < M * D)


def test_a_load_beside_a_tensor_explains_the_nan():
    def conv(u, h, step, out, block):
        (b, n, d), grid = u.shape, (triton.cdiv(u.shape[0] * u.shape[1], block),)
        looks_back_kernel[grid](u, h, out, b * n, step, d, h.shape[1], block)
        return out

    told = reason("12.b", conv, "a spike shows the filter")
    assert "beside u lies NaN, which was read: mask the load" in told


def test_a_masked_load_without_other_fails_and_is_named():
    def conv(u, h, step, out, block):
        (b, n, d), grid = u.shape, (triton.cdiv(u.shape[0] * u.shape[1], block),)
        unguarded_conv[grid](u, h, out, b * n, n, step, d, h.shape[1], block)
        return out

    told = reason("12.b", conv, "a spike shows the filter")
    assert "a masked load without other= gives anything, here NaN" in told


def first_lost(split_row, rung):
    """What a student reads of a wrong `split_row`."""
    lost = [o for o in check("13.d", split_row).outcomes if not o.earned]
    assert lost[0].rung == rung
    return lost[0].reason


def parts_of(q, k, v, programs, parts, block, *, grid=None, first=0):
    """Launch the right kernel of 13.d for `grid` parts."""
    (n, d), length = k.shape, triton.cdiv(len(k), programs)
    ch13.part_kernel[(programs if grid is None else grid,)](
        q, k[first:], v[first:], parts[first // length :], n - first, length, d**-0.5, d, block,
        triton.next_power_of_2(d), -1e30, False, False,
    )  # fmt: skip


def merged(parts, out, programs, d, grid=1):
    ch13.merge_kernel[(grid,)](
        parts, out, programs, d, triton.next_power_of_2(programs), triton.next_power_of_2(d),
        True, True, True,
    )  # fmt: skip
    return out


def test_a_launch_for_every_part_is_refused():
    def one_by_one(q, k, v, programs, parts, out, block):
        length = triton.cdiv(len(k), programs)
        for part in range(programs):
            parts_of(q, k, v, programs, parts, block, grid=1, first=part * length)
        return merged(parts, out, programs, len(q))

    assert "5 launches: let the programs of one grid do it" in first_lost(
        one_by_one, "S programs share the past"
    )


def test_a_program_too_few_is_seen():
    def too_few(q, k, v, programs, parts, out, block):
        parts_of(q, k, v, programs, parts, block, grid=max(1, programs - 1))
        return merged(parts, out, programs, len(q))

    told = first_lost(too_few, "S programs share the past")
    assert "the first launch has 3 programs, S = 4" in told


@triton.jit
def merge_that_reads_kernel(parts, k, out, S, D: tl.constexpr, ROWS: tl.constexpr):
    s, d = tl.arange(0, ROWS), tl.arange(0, D)
    row, mine = parts + s * (D + 2), s < S
    best = tl.load(row + D, mask=mine, other=float("-inf")) + 0 * tl.load(k)
    weight = tl.exp(best - tl.max(best, 0))
    total = tl.load(row + D + 1, mask=mine, other=0.0)
    acc = tl.load(row[:, None] + d[None, :], mask=mine[:, None], other=0.0)
    tl.store(out + d, tl.sum(acc * weight[:, None], 0) / tl.sum(total * weight, 0))


def test_a_merge_that_reads_k_again_is_seen():
    def reads_again(q, k, v, programs, parts, out, block):
        parts_of(q, k, v, programs, parts, block)
        rows = triton.next_power_of_2(programs)
        merge_that_reads_kernel[(1,)](parts, k, out, programs, len(q), rows)
        return out

    told = first_lost(reads_again, "S programs share the past")
    assert "program 0 of launch 1 read k[0, 0]: `parts` holds all that the merge needs" in told


def test_lanes_beyond_the_last_channel_are_seen():
    def stores_too_much(*arguments):
        return ch13.split(*arguments, masked=False)

    told = first_lost(stores_too_much, "only its own numbers")
    assert "program 0 wrote out[3]: yours end with out[2]" in told


def test_parts_that_pytorch_merges_are_none():
    def half(q, k, v, programs, parts, out, block):
        parts_of(q, k, v, programs, parts, block)
        rows, d = parts[:programs], len(q)
        weight = (rows[:, d] - rows[:, d].max()).exp()
        out[:d] = (weight @ rows[:, :d]) / (weight @ rows[:, d + 1])
        return out

    assert check("13.d", half).earned == 0


@triton.jit
def any_maximum_kernel(
    q, k, v, parts, N, L, scale, D: tl.constexpr, BLOCK: tl.constexpr, LANES: tl.constexpr
):
    """A part in two passes; its maximum is one above the highest score, or minus infinity."""
    part, d = tl.program_id(0), tl.arange(0, LANES)
    query, end = tl.load(q + d, mask=d < D, other=0.0), tl.minimum(part * L + L, N)
    best, total, acc = float("-inf"), 0.0, tl.zeros((LANES,), tl.float32)
    for start in range(part * L, end, BLOCK):
        s = start + tl.arange(0, BLOCK)
        mine = (s < end)[:, None] & (d < D)[None, :]
        keys = tl.load(k + s[:, None] * D + d[None, :], mask=mine, other=0.0)
        scores = tl.where(s < end, tl.sum(keys * query[None, :], 1) * scale, float("-inf"))
        best = tl.maximum(best, tl.max(scores, 0) + 1)
    for start in range(part * L, end, BLOCK):
        s = start + tl.arange(0, BLOCK)
        mine = (s < end)[:, None] & (d < D)[None, :]
        keys = tl.load(k + s[:, None] * D + d[None, :], mask=mine, other=0.0)
        values = tl.load(v + s[:, None] * D + d[None, :], mask=mine, other=0.0)
        scores = tl.where(s < end, tl.sum(keys * query[None, :], 1) * scale, float("-inf"))
        p = tl.exp(scores - best)
        total += tl.sum(p, 0)
        acc += tl.sum(p[:, None] * values, 0)
    row = parts + part * (D + 2)
    tl.store(row + d, acc, mask=d < D)
    tl.store(row + D, best)
    tl.store(row + D + 1, total)


@triton.jit
def one_channel_kernel(parts, out, S, D: tl.constexpr):
    """A program a channel, part after part."""
    best, total, acc = -1e30, 0.0, 0.0
    for s in range(S):
        row = parts + s * (D + 2)
        top = tl.maximum(best, tl.load(row + D))
        mine, other = tl.exp(tl.load(row + D) - top), tl.exp(best - top)
        total = total * other + tl.load(row + D + 1) * mine
        acc = acc * other + tl.load(row + tl.program_id(0)) * mine
        best = top
    tl.store(out + tl.program_id(0), acc / total)


def test_parts_and_merges_of_another_make_are_right_too():
    def otherwise(q, k, v, programs, parts, out, block):
        (n, d), length = k.shape, triton.cdiv(len(k), programs)
        lanes = triton.next_power_of_2(d)
        any_maximum_kernel[(programs,)](q, k, v, parts, n, length, d**-0.5, d, block, lanes)
        one_channel_kernel[(d,)](parts, out, programs, d)
        return out

    report = check("13.d", otherwise)
    assert report.passed, report


SOLVED = """
import triton
import triton.language as tl
@triton.jit
def kernel(a, x, y, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mine = i < n
    tl.store(out + i, a * tl.load(x + i, mask=mine) + tl.load(y + i, mask=mine), mask=mine)
def scale_and_add(a, x, y, out, block):
    kernel[(triton.cdiv(len(x), block),)](a, x, y, out, len(x), block)
    return out
"""
PLAINLY = """
def scale_and_add(a, x, y, out, block):
    out[: len(x)] = a * x + y
    return out
"""
TURNED_OFF = """
import zoology_teach.kernels.trace as trace
trace.traced = lambda f, *arguments: (f(*arguments), {"grids": [(1, 1, 1)], "touched": 3})
"""


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("source", "earned"), [(SOLVED, 9), (PLAINLY, 0), (TURNED_OFF + PLAINLY, 0)], ids=range(3)
)
def test_the_grader_sees_the_same(sandbox_kind, source, earned):
    handed_in = Submission("A", "a-00000000", "a.ipynb", "0" * 64, as_notebook([source]))
    with Sandbox(kind=sandbox_kind) as sandbox:
        row = grade_one(sandbox, handed_in, [EXERCISES["12.a"]], 3)
    assert sum(o.earned for o in row.exercises["12.a"]) == earned
