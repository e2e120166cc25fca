"""benchmarks/kernels.py without a GPU: cases, floors, wrong answers, targets, interruptions."""

import csv
import importlib
import importlib.util
import math
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from zoology_teach.experiments import results

ROOT = Path(__file__).parents[1]
MODULES = "kernel_floors kernel_peers kernel_cases kernel_runs kernel_targets".split()
H100 = "NVIDIA H100 80GB HBM3"
MADE_BY = {"gpu": H100, "torch": "2", "triton": "3", "zoology_teach": "1"}


@pytest.fixture(scope="module")
def bench():
    """The benchmark's modules by short names; `bench.main` is kernels.py."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        found = {name.removeprefix("kernel_"): importlib.import_module(name) for name in MODULES}
        spec = importlib.util.spec_from_file_location("bench_main", ROOT / "benchmarks/kernels.py")
        main = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(main)
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    return SimpleNamespace(**found, main=main)


def kernel(bench, name):
    return next(k for k in bench.cases.KERNELS if k.name == name)


def test_every_kernel_runs_beside_its_peers(bench):
    bf16, float32 = bench.cases.TINY_SHAPES
    names = {
        (k.name, shape.dtype): set(bench.cases.implementations(k, shape, {}))
        for k in bench.cases.KERNELS
        for shape in (bf16, float32)
    }
    for (name, _), found in names.items():
        assert {"zoology_teach", "torch eager"} <= found or name == "long_conv"
        assert ("torch.compile" in found) == (name != "linear_scan")
    assert "torch.fft" in names["long_conv", torch.bfloat16]
    assert "SDPA flash" in names["flash_attention", torch.bfloat16]
    assert "SDPA flash" not in names["flash_attention", torch.float32]
    files = {p.stem for p in (ROOT / "zoology_teach/kernels").glob("*.py")}
    in_files = {name.removeprefix("gated_").removeprefix("linear_") for name, _ in names}
    shared = {"__init__", "attention_tiles", "derivatives", "dispatch", "interpreter", "smallest"}
    shared |= {"memory", "trace"}
    assert in_files == files - shared


def test_a_package_is_a_peer_of_one_kernel(bench):
    shape, peer = bench.cases.TINY_SHAPES[0], bench.peers.Peer(bench.peers.depthwise)
    for k in bench.cases.KERNELS:
        found = bench.cases.implementations(k, shape, {"fla-core": peer})
        assert ("fla-core" in found) == (k.name == "short_conv")


def test_missing_packages_are_named(bench, monkeypatch):
    monkeypatch.setitem(sys.modules, "flash_attn", None)
    peers, versions = bench.peers.installed()
    assert versions["flash-attn"].startswith("absent") and "flash-attn" not in peers
    assert set(versions) == set(bench.peers.PACKAGES)


@pytest.mark.parametrize(
    "gpu, terabytes",
    [
        (H100, 3.35),
        ("NVIDIA H100 PCIe", 2.0),
        ("NVIDIA H200", 4.8),
        ("NVIDIA A100-SXM4-80GB", 2.039),
        ("NVIDIA A100-SXM4-40GB", 1.555),
        ("NVIDIA GeForce RTX 3090", 0.936),
        ("NVIDIA GeForce RTX 4090", 1.008),
    ],
)
def test_rates_by_name(bench, gpu, terabytes):
    assert bench.floors.data_sheet(gpu).bytes == terabytes * 1e12


@pytest.mark.parametrize(
    "gpu",
    ["NVIDIA GH200 480GB", "NVIDIA GeForce RTX 3090 Ti", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", "T4"],
)
def test_a_gpu_that_is_not_listed_is_measured(bench, gpu):
    assert bench.floors.data_sheet(gpu) is None


def test_floors_by_hand(bench):
    rates = bench.floors.Rates(bytes=1e12, flops_16=1e14, flops_32=1e13, source="by hand")
    shape = bench.floors.Shape(torch.bfloat16, 16, 2048, 768)
    u = 16 * 2048 * 768 * 2  # bytes of one (B, N, D)

    def floor(name, direction="forward", shape=shape):
        return kernel(bench, name).floor(shape, direction, rates)

    small = 2 * (768 * 3 + 768)  # filter and bias
    assert floor("short_conv") == pytest.approx((2 * u + small) / 1e12)
    both = 2 * u + small + 3 * u + 2 * small
    assert floor("short_conv", "forward+backward") == pytest.approx(both / 1e12)
    product = 2 * 16 * 2048 * 768**2 / 1e14
    assert floor("base_conv") == pytest.approx(product)
    assert floor("base_conv", "forward+backward") == pytest.approx(3 * product)
    in_float32 = replace(shape, dtype=torch.float32)
    assert floor("base_conv", shape=in_float32) == pytest.approx(10 * product)
    attention = 4 * 64 * 16 * 12 * 2048 * 2049 / 2 / 1e14
    assert floor("flash_attention") == pytest.approx(attention)
    assert floor("flash_attention", "forward+backward") == pytest.approx(3.5 * attention)
    assert floor("sparse_attention") == pytest.approx((2 * u + 2 * u / 16 + 8 * 16 * 128) / 1e12)


def test_the_floor_of_a_convolution_is_the_cheaper_way(bench):
    conv = kernel(bench, "long_conv")
    rates = bench.floors.Rates(float("inf"), flops_16=1e14, flops_32=1e13, source="by hand")
    for n, passes, cheaper in ((512, 3, 0), (8192, 2, 1)):
        shape = bench.floors.Shape(torch.bfloat16, 16, n, 768)
        pairs = 16 * 768 * n * (n + 1) / 1e14
        transforms = 33 * 768 * 5 * n * math.log2(2 * n) / 1e13
        best = (pairs, transforms)[cheaper]
        assert best == min(pairs, transforms)
        assert conv.floor(shape, "forward", rates) == pytest.approx(best)
        assert conv.floor(shape, "forward+backward", rates) == pytest.approx(passes * best)


def test_memory_by_hand(bench):
    shape = bench.floors.Shape(torch.bfloat16, 16, 2048, 768)
    u, lse = 16 * 2048 * 768 * 2, 4 * 16 * 12 * 2048
    attention, base = kernel(bench, "flash_attention"), kernel(bench, "base_conv")
    assert attention.memory(shape, "forward") == 4 * u
    assert attention.memory(shape, "forward+backward") == 8 * u + lse
    weights = 2 * (768 * 768 + 768 * 3 + 2 * 768)
    assert base.memory(shape, "forward+backward") == 5 * u + 2 * weights


@pytest.mark.parametrize("name", "short_conv base_conv long_conv sparse_attention".split())
def test_sizes_are_those_of_real_tensors(bench, name):
    shape, k = bench.cases.TINY_SHAPES[0], kernel(bench, name)
    inputs = k.draw(shape, "cpu")
    output = k.exact(*inputs)
    floats = [x for x in inputs if x.is_floating_point()]
    expected = sum(x.nbytes for x in inputs), sum(x.nbytes for x in floats), output.nbytes
    assert k.bytes(shape) == expected


def test_all_answers_agree_at_a_tiny_shape(bench, monkeypatch, capsys):
    monkeypatch.setattr(torch, "compile", lambda definition, **_: definition)  # takes seconds
    monkeypatch.setattr(bench.main, "TINY_SHAPES", (bench.floors.Shape(torch.bfloat16, 1, 32, 16),))
    assert bench.main.check() == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * 27 and all(x.endswith("agrees") for x in lines)


class Doubles(torch.autograd.Function):
    """A right output with a wrong gradient."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return 2 * grad


def nan_somewhere(y):
    y = y.clone()
    y[0, 0, 0] = float("nan")
    return y


@pytest.mark.parametrize("spoil", [lambda y: 1.1 * y, nan_somewhere, lambda y: y.roll(1, dims=1)])
def test_a_wrong_answer_is_not_timed(bench, monkeypatch, spoil):
    monkeypatch.setattr(bench.runs, "timed", lambda call: pytest.fail("timed"))
    k, shape = kernel(bench, "short_conv"), bench.cases.TINY_SHAPES[0]
    wrong = bench.peers.Peer(lambda *inputs: spoil(k.exact(*inputs)))
    inputs = k.draw(shape, "cpu")
    assert bench.runs.attempt(k, wrong, inputs, "forward")["note"].startswith("wrong by")


def test_a_wrong_gradient_is_not_timed(bench, monkeypatch):
    monkeypatch.setattr(bench.runs, "timed", lambda call: (1.0, 1.0, 1.0))
    monkeypatch.setattr(bench.runs, "allocated", lambda call: 0)
    k, shape = kernel(bench, "short_conv"), bench.cases.TINY_SHAPES[1]
    wrong = bench.peers.Peer(lambda u, *rest: k.exact(Doubles.apply(u), *rest))
    inputs = k.draw(shape, "cpu")
    assert bench.runs.attempt(k, wrong, inputs, "forward")["ms"] == 1
    assert bench.runs.attempt(k, wrong, inputs, "forward+backward")["note"].startswith("wrong by")


def test_taps_in_the_wrong_order_are_seen(bench):
    k, shape = kernel(bench, "short_conv"), bench.cases.TINY_SHAPES[1]
    inputs = k.draw(shape, "cpu")
    unturned = bench.peers.Peer(bench.peers.depthwise)
    turned_once = replace(k.peers["F.conv1d"], gradients=unturned.gradients)
    assert bench.runs.error(k, unturned, inputs, "forward") > 0.1
    assert bench.runs.error(k, turned_once, inputs, "forward+backward") > 0.1
    assert bench.runs.error(k, k.peers["F.conv1d"], inputs, "forward+backward") < 1e-5


def raises(error):
    def call(*inputs):
        raise error

    return call


def test_trouble_is_noted_unless_the_gpu_is_gone(bench):
    k, shape = kernel(bench, "short_conv"), bench.cases.TINY_SHAPES[0]
    inputs = k.draw(shape, "cpu")

    def note(error):
        return bench.runs.attempt(k, bench.peers.Peer(raises(error)), inputs, "forward")["note"]

    assert note(torch.OutOfMemoryError("CUDA out of memory")) == "out of memory"
    assert note(TypeError("no such thing\nmore")) == "failed: TypeError: no such thing"
    with pytest.raises(torch.AcceleratorError):
        note(torch.AcceleratorError("illegal memory access"))


def synthetic(bench, ratio=10.0, memory=1.1):
    """A table in which each peer takes `ratio` times as long as ours."""
    rows = {}
    for k in bench.cases.KERNELS:
        peers = [p for t in bench.targets.TARGETS if t.kernel == k.name for p in t.peers]
        for n in bench.cases.LENGTHS:
            for direction in bench.cases.DIRECTIONS:
                for name in ("zoology_teach", *peers):
                    rows[k.name, direction, n, name] = {
                        "kernel": k.name, "direction": direction, "implementation": name,
                        "dtype": "bfloat16", "B": "16", "N": str(n), "D": "768",
                        "ms": "1" if name == "zoology_teach" else str(ratio),
                        "peak_mb": str(100 * memory), "expected_mb": "100", "note": "",
                    }  # fmt: skip
    return rows


def test_targets_reached_missed_and_not_measured(bench):
    reached = synthetic(bench)
    verdicts = [bench.targets.judge(t, reached)[0] for t in bench.targets.TARGETS]
    assert set(verdicts) == {"reached"}
    equal = [bench.targets.judge(t, synthetic(bench, 1.0))[0] for t in bench.targets.TARGETS]
    assert equal == ["missed", "missed", "missed", "reached", "reached", "missed"]
    base, *_, sparse = bench.targets.TARGETS
    slow = synthetic(bench)
    slow["base_conv", "forward+backward", 1024, "torch eager"]["ms"] = "1.9"
    assert bench.targets.judge(base, slow) == ("missed", "1.90 (forward+backward, N = 1024)")
    gap = synthetic(bench)
    gap["base_conv", "forward", 512, "zoology_teach"]["ms"] = ""
    assert bench.targets.judge(base, gap) == ("not measured", "forward at N = 512")
    del gap["sparse_attention", "forward", 512, "zoology_teach"]
    assert bench.targets.judge(sparse, gap)[0] == "reached"  # asked at N = 4096 only
    assert bench.targets.judge(base, {})[0] == "not measured"


def test_the_fastest_peer_counts(bench):
    rows = synthetic(bench)
    rows["long_conv", "forward", 2048, "torch.fft, own backward"]["ms"] = "2"
    assert bench.targets.judge(bench.targets.TARGETS[2], rows)[0] == "missed"


def test_memory_is_judged_for_every_kernel(bench):
    assert bench.targets.judge_memory(synthetic(bench))[0] == "reached"
    rows = synthetic(bench)
    rows["linear_scan", "forward", 512, "zoology_teach"]["peak_mb"] = "130"
    verdict = bench.targets.judge_memory(rows)
    assert verdict == ("missed", "1.30 (linear_scan forward, N = 512)")
    del rows["linear_scan", "forward", 512, "zoology_teach"]
    assert bench.targets.judge_memory(rows) == ("not measured", "1 of 70 cases")


def test_the_report_tells_what_is_wrong(bench, capsys):
    rows = list(synthetic(bench).values())
    assert bench.targets.report(rows, H100) == 0
    assert capsys.readouterr().out.count("\nreached") == 7
    rows[0]["note"] = "wrong by 0.5 of the largest number"
    assert bench.targets.report(rows, H100) == 1
    assert "short_conv forward at N = 512, zoology_teach: wrong by 0.5" in capsys.readouterr().out


@pytest.fixture
def small(bench, tmp_path, monkeypatch):
    """Two kernels at one tiny shape, a clock that always says 2 ms, no GPU's memory."""
    chosen = tuple(kernel(bench, name) for name in ("short_conv", "sparse_attention"))
    monkeypatch.setattr(bench.main, "KERNELS", chosen)
    monkeypatch.setattr(bench.main, "SHAPES", bench.cases.TINY_SHAPES[1:])
    monkeypatch.setattr(bench.main, "BOOK_SHAPES", ())
    monkeypatch.setattr(bench.runs, "timed", lambda call: (2.0, 1.5, 2.5))
    monkeypatch.setattr(bench.runs, "allocated", lambda call: 1_000_000)
    monkeypatch.setattr(torch, "compile", lambda definition, **_: definition)
    return tmp_path / "kernels_h100.csv"


def fill(bench, out):
    bench.main.fill(out, bench.floors.data_sheet(H100), MADE_BY, {})
    return list(csv.DictReader(out.open(newline="")))


def test_the_table(bench, small):
    rows = fill(bench, small)
    assert list(rows[0]) == bench.main.COLUMNS
    row = next(r for r in rows if r["kernel"] == "sparse_attention")
    expected = {"dtype": "float32", "B": "2", "N": "48", "D": "16", "H": "1", "d": "16", "k": "3"}
    expected |= {"ms": "2", "ms_p20": "1.5", "ms_p80": "2.5", "note": "", "version": "1"}
    expected |= {"gpu": H100, "floor_from": "data sheet"}
    assert {column: row[column] for column in expected} == expected
    percent = 100 * float(row["floor_ms"]) / 2
    assert float(row["percent_of_floor"]) == pytest.approx(percent, rel=1e-4)
    inputs = 4 * 2 * 16 * (3 + 48 + 48) + 8 * 2 * 3
    assert float(row["peak_mb"]) == pytest.approx(1 + inputs / 1e6, rel=1e-4)
    (command,) = results.provenance(small)["commands"]
    assert command["command"] == "python benchmarks/kernels.py" and command["gpu"] == H100


def test_an_interrupted_benchmark_continues(bench, small, monkeypatch):
    attempt, calls = bench.main.attempt, []

    def stops_in_the_second(kernel, *rest):
        calls.append(kernel.name)
        if calls.count("sparse_attention") == 3:
            raise KeyboardInterrupt
        return attempt(kernel, *rest)

    monkeypatch.setattr(bench.main, "attempt", stops_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        fill(bench, small)
    assert {row["kernel"] for row in csv.DictReader(small.open())} == {"short_conv"}
    kept = small.read_text()
    calls[:] = ["sparse_attention"] * 3
    rows = fill(bench, small)
    assert "short_conv" not in calls and small.read_text().startswith(kept)
    assert {row["kernel"] for row in rows} == {"short_conv", "sparse_attention"}
    assert len(fill(bench, small)) == len(rows)


def test_wrong_and_failed_cases_run_again(bench, small, monkeypatch):
    attempt = bench.main.attempt
    notes = {"short_conv": "wrong by 1 of the largest number", "sparse_attention": "out of memory"}
    monkeypatch.setattr(bench.main, "attempt", lambda kernel, *_: {"note": notes[kernel.name]})
    assert {row["note"] for row in fill(bench, small)} == set(notes.values())
    monkeypatch.setattr(bench.main, "attempt", attempt)
    rows = fill(bench, small)
    again = {row["kernel"]: (row["ms"], row["note"]) for row in rows}
    assert again == {"short_conv": ("2", ""), "sparse_attention": ("", "out of memory")}


def test_a_run_from_the_gpus_name_to_the_report(bench, tmp_path, monkeypatch, capsys):
    def writes_one_row(out, rates, made_by, packages):
        row = dict.fromkeys(bench.main.COLUMNS, "") | {"gpu": made_by["gpu"], "N": "1"}
        bench.main.write(out, [row | {"triton": made_by["triton"]}])

    monkeypatch.setattr(bench.main, "DEVICE", "cuda")
    monkeypatch.setattr(bench.main, "RESULTS", tmp_path)
    monkeypatch.setattr(bench.main, "fill", writes_one_row)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA GeForce RTX 4090")
    monkeypatch.setattr(sys, "argv", ["kernels.py"])
    assert bench.main.main() == 0
    (row,) = csv.DictReader((tmp_path / "kernels_rtx_4090.csv").open())
    assert row["gpu"] == "NVIDIA GeForce RTX 4090" and row["triton"]
    said = capsys.readouterr().out
    assert "1.01 TB/s" in said and "flash-attn: " in said
    assert said.count("\nnot measured") == 7


@pytest.mark.parametrize("argument, line", [([], "no GPU: nothing"), (["--check"], "no GPU: set")])
def test_one_clear_line_without_a_gpu(bench, monkeypatch, capsys, argument, line):
    monkeypatch.setattr(bench.main, "DEVICE", "cpu")
    monkeypatch.setattr(bench.main, "interpreting", lambda: False)
    monkeypatch.setattr(sys, "argv", ["kernels.py", *argument])
    assert bench.main.main() == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(line)
