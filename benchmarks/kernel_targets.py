"""What the kernels are to reach on an H100, and whether a measured table says that they do."""

from dataclasses import dataclass

from kernel_cases import DIRECTIONS, KERNELS, LENGTHS, OURS

MOST_MEMORY = 1.2


@dataclass(frozen=True)
class Target:
    """`kernel` is to be at least `least` times as fast as the fastest of `peers` at each of
    `lengths`, forward and forward+backward, in bfloat16 at B = 16, D = 768."""

    kernel: str
    least: float
    peers: tuple[str, ...]
    lengths: tuple[int, ...] = LENGTHS


FFT = ("torch.fft", "torch.fft, own backward")
TARGETS = (
    Target("base_conv", 2, ("torch eager",)),
    Target("base_conv", 1.3, ("torch.compile",)),
    Target("long_conv", 3, FFT, (512, 1024, 2048)),
    Target("long_conv", 0.98, FFT),  # never slower, but for the noise of two equal timings
    Target("flash_attention", 0.6, ("SDPA flash",)),
    Target("sparse_attention", 4, ("SDPA of all rows",), (4096,)),
)

Rows = dict[tuple[str, str, int, str], dict[str, str]]


def judge(target: Target, rows: Rows) -> tuple[str, str]:
    """Reached, missed or not measured; and the worst ratio, or what is missing."""
    ratios, missing = {}, []
    for n in target.lengths:
        for direction in DIRECTIONS:
            ours = milliseconds(rows, target.kernel, direction, n, OURS)
            times = [milliseconds(rows, target.kernel, direction, n, p) for p in target.peers]
            times = [ms for ms in times if ms is not None]
            if ours is None or not times:
                missing.append(f"{direction} at N = {n}")
            else:
                ratios[min(times) / ours] = f"{direction}, N = {n}"
    worst = min(ratios, default=target.least)
    if worst < target.least:
        return "missed", f"{worst:.2f} ({ratios[worst]})"
    if missing:
        return "not measured", missing[0] + (f" and {len(missing) - 1} more" * (len(missing) > 1))
    return "reached", f"at least {worst:.2f} ({ratios[worst]})"


def milliseconds(rows: Rows, kernel: str, direction: str, n: int, name: str) -> float | None:
    """The median time; None where there is none."""
    ms = rows.get((kernel, direction, n, name), {}).get("ms")
    return float(ms) if ms else None


def judge_memory(rows: Rows) -> tuple[str, str]:
    """The same for the memory of all our kernels."""
    wanted = [(k.name, way, n, OURS) for k in KERNELS for way in DIRECTIONS for n in LENGTHS]
    measured = [row for row in map(rows.get, wanted) if row and row["peak_mb"]]
    ratios = {float(r["peak_mb"]) / float(r["expected_mb"]): r for r in measured}
    worst = max(ratios, default=0)
    where = "{kernel} {direction}, N = {N}".format(**ratios[worst]) if ratios else ""
    if worst > MOST_MEMORY:
        return "missed", f"{worst:.2f} ({where})"
    if len(measured) < len(wanted):
        return "not measured", f"{len(wanted) - len(measured)} of {len(wanted)} cases"
    return "reached", f"at most {worst:.2f} ({where})"


def report(table: list[dict[str, str]], gpu: str) -> int:
    """Print what became of each target, and what is wrong; 1 if something is."""
    print(f"\nTargets, bfloat16, (16, N, 768), set for an H100; this is {gpu}:")
    rows = {
        (row["kernel"], row["direction"], int(row["N"]), row["implementation"]): row
        for row in table
        if (row["dtype"], row["B"], row["D"]) == ("bfloat16", "16", "768")
    }
    for target in TARGETS:
        verdict, detail = judge(target, rows)
        lengths = ", ".join(map(str, target.lengths))
        print(
            f"{verdict:13s}{target.kernel} >= {target.least} x {' or '.join(target.peers)} "
            f"at N = {lengths}: {detail}"
        )
    verdict, detail = judge_memory(rows)
    print(f"{verdict:13s}peak memory <= {MOST_MEMORY} x inputs, outputs, what is kept: {detail}")
    bad = [row for row in table if row["note"].startswith(("wrong", "failed"))]
    for row in bad:
        print("{kernel} {direction} at N = {N}, {implementation}: {note}".format(**row))
    return int(bool(bad))
