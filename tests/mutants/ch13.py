"""Plausible wrong kernels of chapter 13, each with the rung that must catch it.

One kernel an exercise, with a switch for each mistake. Wrong addresses stay within the room
that the ladder leaves behind, or are only read.
"""

import math

from zoology_teach.kernels.dispatch import tl, triton


@triton.jit
def tile_kernel(
    h, out, n, k, SIGN, TAPS, ROWS: tl.constexpr, P: tl.constexpr, SYMMETRIC: tl.constexpr,
):  # fmt: skip
    t, s = tl.arange(0, ROWS)[:, None], tl.arange(0, P)[None, :]
    lag = k * P + SIGN * (t - s)
    if SYMMETRIC:
        lag = tl.where(lag < 0, -lag, lag)
    seen = (lag >= 0) & (lag < TAPS)
    tl.store(out + t * P + s, tl.load(h + tl.minimum(lag, TAPS - 1), mask=seen, other=0.0))


def tile(h, n, k, out, block, *, sign=1, taps=None, rows=1, symmetric=False):
    tile_kernel[(1,)](h, out, n, k, sign, taps or n, rows * block, block, symmetric)
    return out


def transposed(h, n, k, out, block):
    return tile(h, n, k, out, block, sign=-1)


def always_one_below(h, n, k, out, block):
    return tile(h, n, min(k, 1), out, block)


def symmetric(h, n, k, out, block):
    return tile(h, n, k, out, block, symmetric=True)


def reads_behind_the_taps(h, n, k, out, block):
    return tile(h, n, k, out, block, taps=len(h))


def two_tiles_at_once(h, n, k, out, block):
    return tile(h, n, k, out, block, rows=2)


@triton.jit
def average_kernel(
    z, v, out, N, LOWEST, PADDING, C: tl.constexpr, BLOCK: tl.constexpr, LANES: tl.constexpr,
    MAXIMUM: tl.constexpr, SHRINK: tl.constexpr, EACH: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    row, c = tl.program_id(0), tl.arange(0, LANES)
    best, total, acc = LOWEST + 0.0, 0.0, tl.zeros((LANES,), tl.float32)
    for start in range(0, N, BLOCK):
        s = start + tl.arange(0, BLOCK)
        scores = tl.load(z + row * N + s, mask=s < N, other=PADDING)
        place, mine = s[:, None] * C + c[None, :], (s < N)[:, None] & (c < C)[None, :]
        values = tl.load(v + place, mask=mine, other=0.0)
        top = tl.maximum(best, tl.max(scores, 0)) if MAXIMUM else 0.0
        p = tl.exp(scores - top)
        shrink = tl.exp(best - top) if MAXIMUM else 1.0
        share = tl.sum(p[:, None] * values, 0)
        if EACH:
            acc += share / tl.sum(p, 0)
            total += 1.0
        else:
            acc = (acc * shrink if SHRINK else acc) + share
            total = total * shrink + tl.sum(p, 0)
        best = top
    tl.store(out + row * C + c, acc / total, mask=(c < C) | (not MASKED))


def average(z, v, out, block, *, lowest=-1e30, padding=-math.inf, maximum=True, shrink=True,
            each=False, masked=True):  # fmt: skip
    (m, n), c = z.shape, v.shape[1]
    average_kernel[(m,)](
        z, v, out, n, lowest, padding, c, block, triton.next_power_of_2(c), maximum, shrink,
        each, masked,
    )  # fmt: skip
    return out


def a_softmax_each_block(z, v, out, block):
    return average(z, v, out, block, each=True)


def shrinks_the_sum_only(z, v, out, block):
    return average(z, v, out, block, shrink=False)


def without_a_maximum(z, v, out, block):
    return average(z, v, out, block, maximum=False)


def pads_with_zeros(z, v, out, block):
    return average(z, v, out, block, padding=0.0)


def starts_at_minus_infinity(z, v, out, block):
    return average(z, v, out, block, lowest=-math.inf)


def every_lane_stores(z, v, out, block):
    return average(z, v, out, block, masked=False)


@triton.jit
def rows_kernel(
    q, k, v, positions, out, K, N, window, scale, STORED, ALIGNED: tl.constexpr, D: tl.constexpr,
    BLOCK: tl.constexpr, LANES: tl.constexpr, CAUSAL: tl.constexpr, SHRINK: tl.constexpr,
    ENDS: tl.constexpr,
):  # fmt: skip
    i, d = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK), tl.arange(0, LANES)[None, :]
    t = tl.load(positions + i, mask=i < K, other=-1)
    if ALIGNED:
        t = tl.where(i < K, i + N - K, -1)
    end = tl.max(t, 0) + 1
    if ENDS == "last":
        end = tl.load(positions + tl.minimum(tl.program_id(0) * BLOCK + BLOCK, K) - 1) + 1
    begin = tl.maximum(tl.min(tl.where(i < K, t, N), 0) - window + 1, 0)
    if ENDS == "begins at 0":
        begin = 0
    queries = tl.load(q + i[:, None] * D + d, mask=(i < K)[:, None] & (d < D), other=0.0)
    best, total = tl.full((BLOCK,), -1e30, tl.float32), tl.zeros((BLOCK,), tl.float32)
    acc = tl.zeros((BLOCK, LANES), tl.float32)
    for start in range(begin, end, BLOCK):
        s = start + tl.arange(0, BLOCK)
        place, there = s[:, None] * D + d, (s < N)[:, None] & (d < D)
        keys = tl.load(k + place, mask=there, other=0.0)
        values = tl.load(v + place, mask=there, other=0.0)
        scores = tl.dot(queries, tl.trans(keys), input_precision="ieee") * scale
        lag = t[:, None] - s[None, :]
        seen = lag >= 0 if CAUSAL else s[None, :] < N
        scores = tl.where(seen & (lag < window), scores, float("-inf"))
        top = tl.maximum(best, tl.max(scores, 1))
        p, shrink = tl.exp(scores - top[:, None]), tl.exp(best - top)
        total = total * shrink + tl.sum(p, 1)
        acc = acc * shrink[:, None] if SHRINK else acc
        acc = tl.dot(p, values, acc, input_precision="ieee")
        best = top
    total = tl.where(total > 0, total, 1.0)
    mine = (i < STORED)[:, None] & (d < D)
    tl.store(out + i[:, None] * D + d, acc / total[:, None], mask=mine)


def attend(q, k, v, positions, window, out, block, *, aligned=False, causal=True, shrink=True,
           ends="highest", beyond=0):  # fmt: skip
    (rows, d), n = q.shape, len(k)
    rows_kernel[(triton.cdiv(rows, block),)](
        q, k, v, positions, out, rows, n, window, d**-0.5, rows + beyond, aligned, d,
        block, max(16, triton.next_power_of_2(d)), causal, shrink, ends,
    )  # fmt: skip
    return out


def leaks_the_future(q, k, v, positions, window, out, block):
    return attend(q, k, v, positions, window, out, block, causal=False)


def takes_the_last_rows(q, k, v, positions, window, out, block):
    return attend(q, k, v, positions, window, out, block, aligned=True)


def forgets_to_shrink(q, k, v, positions, window, out, block):
    return attend(q, k, v, positions, window, out, block, shrink=False)


def ends_with_its_last_row(q, k, v, positions, window, out, block):
    return attend(q, k, v, positions, window, out, block, ends="last")


def begins_with_the_first_token(q, k, v, positions, window, out, block):
    return attend(q, k, v, positions, window, out, block, ends="begins at 0")


def stores_rows_that_are_not_there(q, k, v, positions, window, out, block):
    return attend(q, k, v, positions, window, out, block, beyond=1)


@triton.jit
def part_kernel(
    q, k, v, parts, N, SHARE, scale, D: tl.constexpr, BLOCK: tl.constexpr, LANES: tl.constexpr,
    LOWEST: tl.constexpr, DIVIDED: tl.constexpr, ALL: tl.constexpr,
):  # fmt: skip
    part, d = tl.program_id(0), tl.arange(0, LANES)
    first, end = part * SHARE, tl.minimum(part * SHARE + SHARE, N)
    query = tl.load(q + d, mask=d < D, other=0.0)
    best, total, acc = LOWEST + 0.0, 0.0, tl.zeros((LANES,), tl.float32)
    for start in range(0, N if ALL else SHARE, BLOCK):
        s = start + tl.arange(0, BLOCK) + (0 if ALL else first)
        place, there = s[:, None] * D + d[None, :], (s < N)[:, None] & (d < D)[None, :]
        keys = tl.load(k + place, mask=there & ((s < end)[:, None] | ALL), other=0.0)
        values = tl.load(v + place, mask=there & ((s < end)[:, None] | ALL), other=0.0)
        scores = tl.sum(keys * query[None, :], 1) * scale
        scores = tl.where((s >= first) & (s < end), scores, float("-inf"))
        top = tl.maximum(best, tl.max(scores, 0))
        p, shrink = tl.exp(scores - top), tl.exp(best - top)
        total = total * shrink + tl.sum(p, 0)
        acc = acc * shrink + tl.sum(p[:, None] * values, 0)
        best = top
    row = parts + part * (D + 2)
    tl.store(row + d, acc / total if DIVIDED else acc, mask=d < D)
    tl.store(row + D, best)
    tl.store(row + D + 1, total)


@triton.jit
def merge_kernel(
    parts, out, S, D: tl.constexpr, ROWS: tl.constexpr, LANES: tl.constexpr, HIGHEST: tl.constexpr,
    SHRINK: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    s, d = tl.arange(0, ROWS), tl.arange(0, LANES)
    row, mine = parts + s * (D + 2), s < S
    best = tl.load(row + D, mask=mine, other=float("-inf"))
    total = tl.load(row + D + 1, mask=mine, other=0.0)
    acc = tl.load(row[:, None] + d[None, :], mask=mine[:, None] & (d < D)[None, :], other=0.0)
    weight = tl.exp(best - (tl.max(best, 0) if HIGHEST else 0.0)) if SHRINK else mine + 0.0
    merged = tl.sum(acc * weight[:, None], 0) / tl.sum(total * weight, 0)
    tl.store(out + d, merged, mask=(d < D) | (not MASKED))


def split(q, k, v, programs, parts, out, block, *, lowest=-1e30, divided=False, all_tokens=False,
          share=None, highest=True, shrink=True, masked=True):  # fmt: skip
    (n, d), lanes = k.shape, triton.next_power_of_2(k.shape[1])
    share = triton.cdiv(n, programs) if share is None else share
    part_kernel[(programs,)](
        q, k, v, parts, n, share, d**-0.5, d, block, lanes, lowest, divided, all_tokens
    )
    rows = triton.next_power_of_2(programs)
    merge_kernel[(1,)](parts, out, programs, d, rows, lanes, highest, shrink, masked)
    return out


def divides_each_part(q, k, v, programs, parts, out, block):
    return split(q, k, v, programs, parts, out, block, divided=True)


def every_program_reads_the_whole_past(q, k, v, programs, parts, out, block):
    return split(q, k, v, programs, parts, out, block, all_tokens=True)


def adds_parts_as_they_are(q, k, v, programs, parts, out, block):
    return split(q, k, v, programs, parts, out, block, shrink=False)


def takes_no_maximum_off(q, k, v, programs, parts, out, block):
    return split(q, k, v, programs, parts, out, block, highest=False)


def rounds_the_share_down(q, k, v, programs, parts, out, block):
    return split(q, k, v, programs, parts, out, block, share=max(1, len(k) // programs))


def begins_at_minus_infinity(q, k, v, programs, parts, out, block):
    return split(q, k, v, programs, parts, out, block, lowest=-math.inf)


MUTANTS = [
    ("13.a", "below the diagonal", transposed),
    ("13.a", "further below", always_one_below),
    ("13.a", "on the diagonal", symmetric),
    ("13.a", "the end of the filter", reads_behind_the_taps),
    ("13.a", "nothing behind the end", two_tiles_at_once),
    ("13.b", "the highest score first", a_softmax_each_block),
    ("13.b", "a higher score later", shrinks_the_sum_only),
    ("13.b", "huge scores", without_a_maximum),
    ("13.b", "a ragged end", pads_with_zeros),
    ("13.b", "a block that is not seen", starts_at_minus_infinity),
    ("13.b", "only its own numbers", every_lane_stores),
    ("13.c", "no future", leaks_the_future),
    ("13.c", "its position, its window", takes_the_last_rows),
    ("13.c", "several blocks of tokens", forgets_to_shrink),
    ("13.c", "in any order", ends_with_its_last_row),
    ("13.c", "what nobody sees stays unread", begins_with_the_first_token),
    ("13.c", "ragged, and only its own numbers", stores_rows_that_are_not_there),
    ("13.d", "one part", divides_each_part),
    ("13.d", "S programs share the past", every_program_reads_the_whole_past),
    ("13.d", "both sides shrink", adds_parts_as_they_are),
    ("13.d", "very unequal maxima", takes_no_maximum_off),
    ("13.d", "ragged parts", rounds_the_share_down),
    ("13.d", "a part that sees nothing", begins_at_minus_infinity),
]
