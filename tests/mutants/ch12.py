"""Plausible wrong kernels of chapter 12, each with the rung that must catch it.

One kernel an exercise, with a switch for each mistake. Wrong addresses stay within the room
that the ladder leaves behind every output, or are only read.
"""

from zoology_teach.kernels.dispatch import tl, triton


@triton.jit
def add_kernel(
    a, x, y, out, n, BLOCK: tl.constexpr, MASKED: tl.constexpr, LATE: tl.constexpr,
    OWN: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0) * BLOCK * OWN + tl.arange(0, BLOCK)
    mine = i < n + LATE
    total = a * tl.load(x + i, mask=mine, other=0.0) + tl.load(y + i, mask=mine, other=0.0)
    tl.store(out + i, total, mask=mine | (not MASKED))


def add(a, x, y, out, block, *, programs=None, masked=True, late=0, own=1):
    grid = (triton.cdiv(len(x), block) if programs is None else programs,)
    add_kernel[grid](a, x, y, out, len(x), block, masked, late, own)
    return out


def grid_rounded_down(a, x, y, out, block):
    return add(a, x, y, out, block, programs=max(1, len(x) // block))


def stores_without_a_mask(a, x, y, out, block):
    return add(a, x, y, out, block, masked=False)


def one_too_many(a, x, y, out, block):
    return add(a, x, y, out, block, programs=len(x) // block + 1, late=1)


def all_take_the_first_block(a, x, y, out, block):
    return add(a, x, y, out, block, own=0)


def one_program(a, x, y, out, block):
    return add(a, x, y, out, block, programs=1)


def forgets_the_scale(a, x, y, out, block):
    return add(1.0, x, y, out, block)


@triton.jit
def conv_kernel(
    u, h, out, M, N, PERIOD, STEP, DSTEP, LSTEP, D: tl.constexpr, TAPS: tl.constexpr,
    BM: tl.constexpr, BD: tl.constexpr, MASKED: tl.constexpr, HALO: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * BM + tl.arange(0, BM)[:, None]
    d = tl.arange(0, BD)[None, :]
    mine, place = (row < M) & (d < D), row * D + d
    total = tl.zeros((BM, BD), tl.float32)
    for lag in tl.static_range(TAPS):
        source = row - STEP * lag
        seen = mine & (row % PERIOD - STEP * lag >= 0) & (row % PERIOD - STEP * lag < N)
        if not HALO:
            seen = seen & (source >= tl.program_id(0) * BM)
        tile = tl.load(u + source * D + d, mask=seen, other=0.0)
        total += tile * tl.load(h + d * DSTEP + lag * LSTEP, mask=d < D, other=0.0)
    tl.store(out + place, total, mask=mine | (not MASKED))


def conv(u, h, step, out, block, *, programs=None, period=None, sign=1, steps=None, masked=True,
         halo=True, taps=None):  # fmt: skip
    (b, n, d), taps = u.shape, taps or h.shape[1]
    grid = (triton.cdiv(b * n, block) if programs is None else programs,)
    period, length = (n, n) if period is None else (period, period)
    width = triton.next_power_of_2(d)
    conv_kernel[grid](
        u, h, out, b * n, length, period, sign * step, *(steps or (taps, 1)), d, taps, block, width,
        masked, halo,
    )  # fmt: skip
    return out


def reversed_taps(u, h, step, out, block):
    taps = h.shape[1]
    return conv(u, h[:, taps - 1 :], step, out, block, steps=(taps, -1), taps=taps)


def reads_the_future(u, h, step, out, block):
    return conv(u, h, step, out, block, sign=-1)


def taps_across(u, h, step, out, block):
    return conv(u, h, step, out, block, steps=(1, u.shape[2]))


def without_halo(u, h, step, out, block):
    return conv(u, h, step, out, block, halo=False)


def one_long_sequence(u, h, step, out, block):
    return conv(u, h, step, out, block, period=u.shape[0] * u.shape[1])


def every_lane_stores(u, h, step, out, block):
    return conv(u, h, step, out, block, masked=False)


@triton.jit
def back_kernel(
    h, g, e, out, M, N, AHEAD, GATE_AHEAD, D: tl.constexpr, TAPS: tl.constexpr,
    BM: tl.constexpr, BD: tl.constexpr, GATED: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * BM + tl.arange(0, BM)[:, None]
    d = tl.arange(0, BD)[None, :]
    mine, place = (row < M) & (d < D), row * D + d
    total = tl.zeros((BM, BD), tl.float32)
    for lag in tl.static_range(TAPS):
        t = row % N + AHEAD * lag
        seen = mine & (t >= 0) & (t < N)
        tile = tl.load(e + place + AHEAD * lag * D, mask=seen, other=0.0)
        if GATED:
            tile *= tl.load(g + place + GATE_AHEAD * lag * D, mask=seen, other=0.0)
        total += tile * tl.load(h + d * TAPS + lag, mask=d < D, other=0.0)
    tl.store(out + place, total, mask=mine | (not MASKED))


def back(h, g, e, step, out, block, *, programs=None, period=None, ahead=1, gate_ahead=1,
         gated=True, masked=True):  # fmt: skip
    (b, n, d), taps = e.shape, h.shape[1]
    grid = (triton.cdiv(b * n, block) if programs is None else programs,)
    back_kernel[grid](
        h, g, e, out, b * n, period or n, ahead * step, gate_ahead * step, d, taps, block,
        triton.next_power_of_2(d), gated, masked,
    )  # fmt: skip
    return out


def forgets_the_gate(h, g, e, step, out, block):
    return back(h, g, e, step, out, block, gated=False)


def shifts_as_forward(h, g, e, step, out, block):
    return back(h, g, e, step, out, block, ahead=-1, gate_ahead=-1)


def gate_of_the_writer(h, g, e, step, out, block):
    return back(h, g, e, step, out, block, gate_ahead=0)


def into_the_next_sequence(h, g, e, step, out, block):
    return back(h, g, e, step, out, block, period=e.shape[0] * e.shape[1])


def last_rows_forgotten(h, g, e, step, out, block):
    return back(h, g, e, step, out, block, programs=max(1, e.shape[0] * e.shape[1] // block))


def lanes_store_too_much(h, g, e, step, out, block):
    return back(h, g, e, step, out, block, masked=False)


MUTANTS = [
    ("12.a", "a ragged end", grid_rounded_down),
    ("12.a", "nothing behind the end", stores_without_a_mask),
    ("12.a", "nothing behind the end", one_too_many),
    ("12.a", "several blocks", all_take_the_first_block),
    ("12.a", "several blocks", one_program),
    ("12.a", "one full block", forgets_the_scale),
    ("12.b", "a spike shows the filter", reversed_taps),
    ("12.b", "a spike shows the filter", reads_the_future),
    ("12.b", "a spike shows the filter", taps_across),
    ("12.b", "over the edge of a tile", without_halo),
    ("12.b", "sequences stay apart", one_long_sequence),
    ("12.b", "only its own numbers", every_lane_stores),
    ("12.c", "one tap", forgets_the_gate),
    ("12.c", "an error goes back in time", shifts_as_forward),
    ("12.c", "the gate of the reader", gate_of_the_writer),
    ("12.c", "sequences stay apart", into_the_next_sequence),
    ("12.c", "ragged rows", last_rows_forgotten),
    ("12.c", "only its own numbers", lanes_store_too_much),
]
