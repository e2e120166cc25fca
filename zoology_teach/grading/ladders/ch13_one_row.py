"""The ladder of 13.d: many programs share the past of one row, and a second kernel merges."""

import math

import torch
from torch import Tensor

from zoology_teach.grading.inputs import plain_attention, randn, runs
from zoology_teach.grading.ladder import Call, Exercise, expect
from zoology_teach.grading.launches import LAUNCH, Launched, launch, poisoned
from zoology_teach.kernels.trace import LOAD

D = Exercise("13.d", "split_row", "Many programs for one row", 35, difficulty=3, kernel=True)
EXERCISES = [D]
BLOCK = 16
FAR = 120.0  # between scores: e^120 is too large for float32, and e^-120 too small


def drawn(generator: torch.Generator, n: int, d: int) -> tuple[Tensor, Tensor, Tensor]:
    """q (d,), k and v (n, d)."""
    return randn(generator, d), randn(generator, n, d), randn(generator, n, d)


VALUES = runs((1, 16), (2, 16), (4, 16), (8, 16))  # of four parts


def plain(scores: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`plain_attention` of one row (16,)."""
    q, k, v = plain_attention(1, scores, values)
    return q[0], k, v


def raised(q: Tensor, k: Tensor, v: Tensor, heights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same, with scores that lie higher by `heights` (n,), for which a channel is used."""
    q, k = q.clone(), k.clone()
    q[-1], k[:, -1] = math.sqrt(len(q)), heights
    return q, k, v


def launch_row(call: Call, q: Tensor, k: Tensor, v: Tensor, programs: int) -> Launched:
    """Launch the student's kernels."""
    parts, out = poisoned(programs, BLOCK, len(q) + 2), poisoned(len(q), BLOCK)
    return launch(call, q=q, k=k, v=v, programs=programs, parts=parts, out=out, block=BLOCK)


def share(
    call: Call, q: Tensor, k: Tensor, v: Tensor, programs: int, *, divided: bool = False
) -> Launched:
    """Check the parts, and the row, in float64; with `divided` also who read what."""
    d, scores = len(q), k.double() @ q.double() / math.sqrt(len(q))
    found = launch_row(call, q, k, v, programs)
    with found.pictured():
        if divided and found.touched is not None:
            expect_divided(found, len(k), d, programs)
    found.expect_written(parts=programs * (d + 2))
    with found.pictured():
        if found.touched is not None:
            rows = found.images["parts"].view(-1, d + 2)[:programs].double()
            expect_parts(rows, scores, v.double(), -(-len(k) // programs))
    return found.expect((scores.softmax(0) @ v.double()).float(), share=d)


def expect_divided(found: Launched, n: int, d: int, programs: int) -> None:
    """Assert that program s of the first launch read the tokens of part s, the second none."""
    launches = len(found.grids)
    assert launches == 2, f"{launches} launch: only a second one finds all parts written"
    first = found.grids[0]
    assert first == programs, f"the first launch has {first} programs, S = {programs}"
    for name in ("k", "v"):
        for number, program, offset in found.rows(name, LOAD).tolist():
            where = f"program {program} of launch {number} read {found.place(name, offset)}"
            assert number == 0, f"{where}: `parts` holds all that the merge needs"
            part = offset // d // -(-n // programs)
            is_mine = part == program or not 0 <= offset < n * d  # beside k lies no part
            assert is_mine, f"{where}, which belongs to part {part}"


def expect_parts(rows: Tensor, scores: Tensor, v: Tensor, length: int) -> None:
    """Assert that each row is a triple of its tokens: any maximum will do that its sum goes with.

    rows (S, d + 2); scores (N,); v (N, d); `length` tokens a part.
    """
    for part, row in enumerate(rows):
        mine = slice(part * length, (part + 1) * length)
        z, acc, (top, total) = scores[mine], row[:-2], row[-2:].tolist()
        holds = f"parts[{part}] ends with maximum {top:.4g} and sum {total:.4g}"
        if not len(z):
            empty = total == 0 and not acc.any() and not math.isnan(top)
            assert empty, f"{holds}; it sees no token, so its sum and its accumulator are 0"
            continue
        right = f"its tokens have {z.max():.4g} and {(z - z.max()).exp().sum():.4g}"
        meant = top + math.log(total) if total > 0 else math.nan
        assert abs(meant - z.logsumexp(0)) < 1e-3, f"{holds}; {right}"
        average = z.softmax(0) @ v[mine]
        early = len(z) > 1 and torch.allclose(acc, average, atol=1e-4)
        assert not early or abs(total - 1) < 1e-4, f"parts[{part}] is divided by its sum already"
        try:
            expect(acc / total, average)
        except AssertionError as failure:
            raise AssertionError(f"parts[{part}], accumulator over sum: {failure}") from None


@D.rung("a kernel does it", 2, LAUNCH)
def _(call: Call, generator: torch.Generator) -> None:
    launch_row(call, *plain(torch.zeros(16), torch.ones(16)), 1).expect_read("q", "k", "v")


@D.rung(
    "one part",
    1,
    "With S = 1 the part is what 13.b holds before it divides: accumulator, maximum, sum. The "
    "merge divides.",
)
def _(call: Call, generator: torch.Generator) -> None:
    for problem in (plain(runs((1, 16), (0, 32)), VALUES[:48]), drawn(generator, 48, 16)):
        share(call, *problem, 1)


@D.rung(
    "S programs share the past",
    3,
    "One launch of S programs, of which program s reads the tokens s L to s L + L - 1 alone, and "
    "one launch that merges and reads neither k nor v.",
)
def _(call: Call, generator: torch.Generator) -> None:
    for q, k, v in (plain(0 * VALUES, VALUES), drawn(generator, 64, 16)):
        share(call, 0 * q, k, v, 4, divided=True)  # all maxima are equal


@D.rung(
    "both sides shrink",
    2,
    "Before parts are added, each shrinks by e^(its maximum - the highest), accumulator and sum.",
)
def _(call: Call, generator: torch.Generator) -> None:
    for q, k, v in (plain(VALUES / 16, VALUES), drawn(generator, 64, 16)):
        share(call, 2 * q, k, v, 4)


@D.rung(
    "very unequal maxima",
    2,
    "As e^120 overflows and e^-120 is 0, take a maximum off before e^, in a part and in the merge.",
)
def _(call: Call, generator: torch.Generator) -> None:
    for heights in ((1, -1, 0, 0.5), (-1, 0, -1, 1), (-1, -1, -1, -1)):
        of_each = FAR * torch.tensor(heights).repeat_interleave(16)
        for problem in (plain(0 * VALUES, VALUES), drawn(generator, 64, 16)):
            share(call, *raised(*problem, of_each), 4)


@D.rung(
    "ragged parts",
    1,
    "L is N / S rounded up, and no multiple of block: a lane beyond the part's last token weighs "
    "nothing.",
)
def _(call: Call, generator: torch.Generator) -> None:
    share(call, *plain(torch.zeros(7), torch.arange(7.0)), 2, divided=True)
    for n, programs in ((50, 3), (21, 2), (33, 4)):
        share(call, *drawn(generator, n, 16), programs, divided=True)


@D.rung(
    "a part that sees nothing",
    2,
    "A part without a token writes 0, 0 and a maximum below all others, and weighs nothing when "
    "merged: -inf - -inf is NaN.",
)
def _(call: Call, generator: torch.Generator) -> None:
    far = torch.full((1,), -FAR)
    share(call, *raised(*plain(far, -far), far), 3, divided=True)
    for n, programs in ((5, 4), (1, 3), (2, 16)):
        q, k, v = raised(*drawn(generator, n, 16), torch.full((n,), -FAR))
        share(call, q, k, v, programs, divided=True)


@D.rung(
    "only its own numbers",
    1,
    "Here d and S are no powers of two: mask what is loaded and what is stored.",
)
def _(call: Call, generator: torch.Generator) -> None:
    for n, d, programs in ((5, 3, 3), (23, 5, 3), (40, 3, 5), (1, 1, 1)):
        share(call, *drawn(generator, n, d), programs).expect_untouched()
