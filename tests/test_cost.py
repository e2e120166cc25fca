"""Costs: each count against an independent one, the floor below the traffic, the table in step."""

import csv
import importlib.util
import math
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from zoology_teach import cost
from zoology_teach.cost import timing
from zoology_teach.cost.gpu import H100, LAPTOP, Gpu
from zoology_teach.experiments import results
from zoology_teach.mixers import MIXERS
from zoology_teach.mixers.convolution import fft_conv_flops
from zoology_teach.mixers.mixer import Mixer

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "book" / "results" / "cost.csv"


def matmul_flops(mixer, batch: int, n: int) -> int:
    """What PyTorch's own counter makes of a forward pass: matrix products, nothing else."""
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        mixer(torch.randn(batch, n, mixer.d_model))
    return counter.get_total_flops()


@pytest.mark.parametrize("name", ["base_conv", "long_conv", "rwkv"])
@pytest.mark.parametrize(("batch", "n", "d"), [(1, 8, 16), (3, 33, 48)])
def test_projections_are_the_matrix_products_torch_counts(name, batch, n, d):
    mixer = cost.build(name, d, n)
    assert cost.count(mixer, batch, n).projection_flops == matmul_flops(mixer, batch, n)


@pytest.mark.parametrize("name", MIXERS)
def test_projections_are_part_of_both_counts(name):
    mixer = cost.build(name, 32, 24)
    counted = cost.count(mixer, 2, 24)
    assert 0 < counted.projection_flops <= matmul_flops(mixer, 2, 24)
    assert counted.projection_flops < counted.flops


@pytest.mark.parametrize(("batch", "n", "d"), [(1, 1, 4), (2, 40, 16), (3, 65, 32)])
def test_attention_is_torchs_count_without_the_masked_pairs(batch, n, d):
    mixer = cost.build("attention", d, n)
    masked = batch * 4 * d * n * (n - 1) // 2
    assert cost.count(mixer, batch, n).flops == matmul_flops(mixer, batch, n) - masked


@pytest.mark.parametrize("batch", [1, 32])
@pytest.mark.parametrize("feature_map", ["taylor", "elu"])
@pytest.mark.parametrize(("n", "chunk"), [(24, 64), (24, 24), (24, 8)])
def test_linear_attention_is_torchs_count_of_the_visible_pairs(batch, feature_map, n, chunk):
    options = {"feature_map": feature_map, "feature_dim": 4, "num_heads": 2, "chunk": chunk}
    mixer = MIXERS["linear_attention"](16, **options)
    side = min(n, chunk)
    masked = n // side * side * (side - 1) // 2
    visible = n * side - masked
    dense = 2 * 2 * 4 + 2 * (16 + 2)  # q.k, and v with a column of ones
    weight = 2 * 3 if feature_map == "taylor" else 0  # 1 + x + x²/2 in each head
    expected = matmul_flops(mixer, batch, n) - batch * (masked * dense - visible * weight)
    assert cost.count(mixer, batch, n).flops == expected


def test_a_last_chunk_that_is_not_full_reads_and_is_not_written():
    mixer = MIXERS["linear_attention"](16, feature_dim=4, chunk=8)
    features, wide = 1 + 4 + 10, 16 + 1
    more = mixer.flops(19) - mixer.flops(16)
    pairs = 3 * 4 // 2 * (2 * 4 + 3 + 2 * wide)
    reads_and_writes = 2 * features * wide * (3 + 8)  # three read; now the second chunk is written
    assert more == 3 * 4 * 16 * (4 + 16) + pairs + reads_and_writes


@pytest.mark.parametrize("name", MIXERS)
def test_what_a_batch_shares_counts_once(name):
    mixer = cost.build(name, 16, 24)
    one, many = (cost.count(mixer, batch, 24).flops for batch in (1, 32))
    fft = 5 * 48 * 5 // 2  # 5/2 M log2 M of M = 48, the logarithm rounded down
    shared = {"base_conv": 16 * fft, "long_conv": 16 * fft}
    shared["s4d"] = shared["h3"] = 4 * 24 * 16 * 32 + 16 * fft
    network = 17 * 32 + 32 + 32 * 32 + 32 + 32 * 16 + 16
    shared["hyena"] = 2 * (2 * 24 * network + 16 * fft)
    assert 32 * one - many == 31 * shared.get(name, 0)
    assert one == mixer.flops(24)


@pytest.mark.parametrize(
    ("name", "mflop"), [("hyena", 108.5), ("s4d", 36.6), ("h3", 87.9), ("base_conv", 32.7)]
)
def test_the_counts_of_chapter_11(name, mflop):
    assert cost.count(cost.build(name, 64, 512), 4, 512).flops / 1e6 == pytest.approx(mflop, 1e-3)


@pytest.mark.parametrize("batch", [1, 32])
@pytest.mark.parametrize("name", ["s4d", "h3", "hyena"])
def test_shared_matrix_products_are_torchs_count(name, batch):
    """Of the filters: the SSM kernel from its two tables, the networks of the lag."""
    n, d, mixer = 36, 16, cost.build(name, 16, 36)
    filters = matmul_flops(mixer, batch, n) - cost.count(mixer, batch, n).projection_flops
    by_hand = 2 * n * 2 * (17 * 32 + 32 * 32 + 32 * d)
    assert filters == {"s4d": 4 * n * d * 32, "h3": 4 * n * d * 32, "hyena": by_hand}[name]
    assert filters <= mixer.shared_flops(n)


@pytest.mark.parametrize("n", [2, 8, 64, 1024])
def test_an_fft_by_its_recursion(n):
    def radix_2(m: int) -> int:
        """Half-size transforms of evens and odds, and m/2 butterflies of 10 operations."""
        return 0 if m == 1 else 2 * radix_2(m // 2) + 10 * m // 2

    real = radix_2(2 * n) // 2
    assert fft_conv_flops(n) == 3 * real + 6 * (n + 1)


def test_the_floor_by_hand():
    """BaseConv: W, b1, b2, h; u in, y out, the projection written and read."""
    mixer = cost.build("base_conv", 8, 16)
    numbers = (64 + 8 + 8 + 8 * 16) + 2 * 3 * (16 * 8 + 16 * 8)
    counted = cost.count(mixer, 3, 16)
    assert counted.bytes == 4 * numbers
    assert counted.parameters == 64 + 8 + 8 + 8 * 16
    assert counted.intensity == counted.flops / counted.bytes
    attention = cost.count(cost.build("attention", 8, 16), 3, 16)
    assert attention.bytes == 4 * (4 * 72 + 2 * 3 * 16 * (8 + 4 * 8))


@pytest.mark.parametrize("name", MIXERS)
@pytest.mark.parametrize(("batch", "n", "d"), [(1, 32, 16), (4, 200, 32)])
def test_what_runs_moves_more_than_the_floor(name, batch, n, d):
    mixer = cost.build(name, d, n)
    moved, calls = cost.traffic(mixer, batch, n)
    assert moved > cost.count(mixer, batch, n).bytes
    assert calls > 1


class Doubled(Mixer):
    """One operation and one view, for the counters."""

    def __init__(self):
        super().__init__(4)

    def forward(self, u, positions=None):
        return (2 * u).transpose(1, 2).transpose(1, 2)

    def state_size(self, n):
        return 0

    def flops(self, n):
        return 4 * n


def test_traffic_reads_inputs_and_writes_outputs_and_views_are_free():
    assert cost.traffic(Doubled(), 3, 5) == (2 * 4 * 3 * 5 * 4, 1)
    counted = cost.count(Doubled(), 3, 5)
    assert (counted.bytes, counted.projection_flops, counted.flops) == (480, 0, 60)


def test_cost_grows_with_the_batch_and_parameters_do_not():
    mixer = cost.build("attention", 8, 16)
    one, four = cost.count(mixer, 1, 16), cost.count(mixer, 4, 16)
    assert four.flops == 4 * one.flops and four.state == one.state
    assert four.bytes - 4 * four.parameters == 4 * (one.bytes - 4 * one.parameters)


@pytest.mark.parametrize("name", MIXERS)
def test_a_decoding_step_writes_what_a_token_leaves(name):
    mixer, n = cost.build(name, 16, 200), 150
    growth = mixer.state_size(n + 1) - mixer.state_size(n)
    step = cost.decode(mixer, 2, n)
    assert step.read == mixer.state_size(n)
    assert growth <= step.written <= step.read
    assert step.written > 0
    assert step.bytes >= 4 * 2 * (step.read + step.written)


@pytest.mark.parametrize("name", [name for name in MIXERS if MIXERS[name](16).has_step])
def test_the_state_that_is_read_is_the_one_that_step_keeps(name):
    mixer = MIXERS[name](16)
    state = None
    with torch.no_grad():
        for u_t in torch.randn(90, 2, 16):
            _, state = mixer.step(u_t, state)
    parts = state if isinstance(state, tuple) else (state,)
    kept = sum(torch.view_as_real(x).numel() if x.is_complex() else x.numel() for x in parts)
    assert cost.decode(mixer, 2, 90).read == kept // 2


def test_projections_are_what_a_mixer_says_they_are():
    """Not what it is made of: a network of the lag, a router, a projection with another name."""
    mixer = cost.build("hyena", 8, 16)
    assert cost.count(mixer, 1, 16).projection_flops == 2 * 16 * 4 * 64
    learned = MIXERS["sparse_attention"](8, selection="learned")
    assert cost.count(learned, 1, 16).projection_flops == 2 * 16 * (4 * 64 + 8)
    wide = MIXERS["mamba"](8, expand=2)
    inner, select, dt = 2 * 16, 1 + 2 * 16, 16  # columns of each; W_out reads 16
    handed_over = inner + select + dt + 16
    parameters = sum(p.numel() for p in wide.parameters())
    assert cost.count(wide, 1, 5).bytes == 4 * (parameters + 2 * 5 * (8 + handed_over))


def test_decoding_attention_by_hand():
    step = cost.decode(cost.build("attention", 8, 16), 3, 10)
    assert (step.read, step.written) == (160, 16)
    assert step.flops == 2 * 3 * (4 * 64 + 160 + 16)
    assert step.bytes == 4 * (4 * 72 + 3 * (160 + 16 + 16))


def test_a_roofline_takes_the_slower_of_two():
    machine = cost.Machine(flops_per_second=100.0, bytes_per_second=10.0)
    assert machine.balance == 10
    assert machine.seconds(flops=1000, bytes=50) == 10
    assert machine.seconds(flops=1000, bytes=500) == 50
    for wrong in (0, -1.0, math.inf, None):
        with pytest.raises(ValueError, match="bytes_per_second"):
            cost.Machine(1.0, wrong)


def test_a_machine_measures_itself():
    machine = cost.Machine.measure(rounds=1)
    assert machine.flops_per_second > 1e8 and machine.bytes_per_second > 1e7


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_measuring_leaves_no_trace(two_threads):
    with timing.one_thread():
        assert torch.get_num_threads() == 1
    before, generator = torch.get_num_threads(), torch.get_rng_state()
    assert before == 2
    mixers = {name: cost.build(name, 16, 8) for name in ("attention", "base_conv")}
    assert torch.equal(torch.get_rng_state(), generator)
    times = cost.measure(mixers, 2, 8, rounds=3)
    assert torch.get_num_threads() == before
    assert torch.equal(torch.get_rng_state(), generator)
    for name, mixer in mixers.items():
        assert len(times[name].forward) == len(times[name].step) == 3
        assert min(*times[name].forward, *times[name].step) > 0
        assert all(p.grad is None for p in mixer.parameters())


def test_mixers_take_turns_in_the_other_direction_every_second_round():
    called = []
    mixers = {name: cost.build("rwkv", 4, 2) for name in "abc"}
    for name, mixer in mixers.items():
        mixer.register_forward_hook(lambda *_, name=name: called.append(name))
    cost.measure(mixers, 1, 2, rounds=3)
    assert called == [name for name in "abccbaabc" for _ in range(4)], "each is warmed up"


def test_seconds_are_those_of_the_processor_from_start_to_end(monkeypatch):
    now = [100.0]

    def work():
        now[0] += 2

    monkeypatch.setattr(timing.time, "process_time", lambda: now[0])
    assert timing.seconds_of(work, 3) == [2, 2, 2] and now == [108.0]


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match="mixer = 'zebra': must be one of"):
        cost.build("zebra", 16, 8)
    mixer = cost.build("attention", 16, 8)
    for wrong in (0, -1, 2.0, None):
        with pytest.raises(ValueError, match="n = "):
            cost.build("attention", 16, wrong)
        for counting in (cost.count, cost.decode, cost.traffic):
            with pytest.raises(ValueError, match="batch = "):
                counting(mixer, wrong, 8)
            with pytest.raises(ValueError, match="n = "):
                counting(mixer, 2, wrong)
    with pytest.raises(ValueError, match="rounds"):
        cost.measure({"attention": mixer}, 1, 8, rounds=0)


@pytest.fixture
def benchmark(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("benchmark_cost", ROOT / "benchmarks/cost.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, small in {"TOKENS": 32, "ROUNDS": 1, "WIDTHS": (8,), "LENGTHS": (16, 32)}.items():
        monkeypatch.setattr(module, name, small)
    monkeypatch.setattr(module, "OUT", tmp_path / "cost.csv")
    return module


def test_the_operations_agree_with_each_other_and_with_torch(benchmark):
    direct, fft = benchmark.DirectSum(8, 20), benchmark.ByFFT(8, 20)
    fft.filter = direct.filter
    u = torch.randn(2, 20, 8)
    assert torch.allclose(direct(u), fft(u), atol=1e-4)
    pairs = benchmark.AllPairs(8, 20)
    assert pairs.flops(20) == cost.build("attention", 8, 20).flops(20) - 8 * 20 * 64
    weights = torch.softmax(
        (u @ u.mT * 8**-0.5).masked_fill(~torch.ones(20, 20).tril().bool(), -1e9), -1
    )
    assert torch.allclose(pairs(u), weights @ u, atol=1e-5)


def test_an_interrupted_benchmark_continues(benchmark, monkeypatch):
    rows, calls = benchmark.rows, []

    def stops_at_32(machine, d_model, n):
        calls.append(n)
        if n == 32 and len(calls) < 3:
            raise KeyboardInterrupt
        return rows(machine, d_model, n)

    monkeypatch.setattr(benchmark, "rows", stops_at_32)
    with pytest.raises(KeyboardInterrupt):
        benchmark.main()
    benchmark.main()
    assert calls == [16, 32, 32]
    table = pd.read_csv(benchmark.OUT)
    assert table.groupby("seq_len")["mixer"].nunique().to_dict() == {16: 14, 32: 14}
    (command,) = results.provenance(benchmark.OUT)["commands"]
    assert command["command"] == "python benchmarks/cost.py"
    table.assign(flops=1, bytes_as_run=2).to_csv(benchmark.OUT, index=False)
    benchmark.count_again()
    pd.testing.assert_frame_equal(pd.read_csv(benchmark.OUT), table)


def test_the_committed_table_is_whole_and_its_counts_are_todays(benchmark):
    table = list(csv.DictReader(TABLE.open(newline="")))
    cells = {(int(r["d_model"]), int(r["seq_len"]), r["mixer"]) for r in table}
    names = [*benchmark.MEASURED, *benchmark.OPERATIONS]
    widths, lengths = (32, 64, 128, 256), (64, 128, 256, 512, 1024, 2048)
    assert cells == {(d, n, name) for d in widths for n in lengths for name in names}
    assert results.provenance(TABLE)["commands"]
    for row in table:
        if row["kind"] == "mixer" and row["d_model"] == "64":
            n = int(row["seq_len"])
            today = cost.count(cost.build(row["mixer"], 64, n), int(row["batch"]), n)
            for column in ("flops", "bytes", "state", "parameters"):
                stored = int(row[column])
                assert stored == getattr(today, column), "run: python benchmarks/cost.py"


def test_a_mixer_to_be_counted_has_the_weights_of_seed_0():
    torch.manual_seed(0)
    expected = MIXERS["attention"](8).state_dict()
    found = cost.build("attention", 8, 4).state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_a_machine_is_two_numbers_by_the_clock(monkeypatch):
    """2 · 1024³ operations of a product; 2 · 4 · 2^24 bytes, read and written, of a copy."""
    seconds = iter([[0.5, 0.25, 1.0], [0.125, 0.25, 0.25]])
    monkeypatch.setattr(cost, "seconds_of", lambda work, rounds: next(seconds))
    machine = cost.Machine.measure(3)
    assert machine == cost.Machine(2 * 1024**3 / 0.5, 8 * 2**24 / 0.25)
    assert machine.balance == machine.flops_per_second / machine.bytes_per_second


def test_what_a_machine_is_timed_with_is_what_is_counted(monkeypatch):
    did = []

    def counting(work, rounds):
        with FlopCounterMode(display=False) as flops, cost.Traffic() as traffic:
            work()
        did.append((flops.get_total_flops(), traffic.bytes))
        return [1.0]

    monkeypatch.setattr(cost, "seconds_of", counting)
    machine = cost.Machine.measure(1)
    (flops, _), (_, moved) = did
    assert (flops, moved) == (machine.flops_per_second, machine.bytes_per_second)


def test_a_gpu_in_six_numbers():
    gpu = Gpu("A", 2, 4e12, 1 << 18, 100 << 10, 1 << 20, 1e12, 5e-6)
    assert gpu.moving(3e6) == 3.0 and gpu.multiplying(8e6) == 1.0
    assert gpu.in_flight(48 << 10) == 4 and gpu.in_flight(101 << 10) == 0
    assert gpu.numbers()["SMs, and their 16-bit TFLOP/s"] == "2, 8"
    assert len(gpu.numbers()) == 6


def test_two_gpus_as_their_makers_describe_them():
    kib = 1024
    assert Gpu("H100", 132, H100.matmul, 256 * kib, 228 * kib, 50 * kib**2, 3.35e12, 5e-6) == H100
    assert H100.sms * H100.matmul == pytest.approx(989e12)
    laptop = Gpu(LAPTOP.name, 24, LAPTOP.matmul, 256 * kib, 100 * kib, 32 * kib**2, 256e9, 5e-6)
    assert laptop == LAPTOP and LAPTOP.matmul == pytest.approx(512 * 2.37e9)
    assert list(LAPTOP.numbers().values()) == ["24, 29", "256", "100", "32", "0.26", "about 5"]


def test_traffic_counts_operations_one_by_one():
    u, w = (torch.empty(4, 4, dtype=torch.bfloat16, device="meta") for _ in range(2))
    with cost.Traffic() as traffic:
        y = (u @ w).T
        y.add_(1)
    assert traffic.moved == [("mm.default", 3 * 32), ("add_.Tensor", 32)]
    assert traffic.bytes == 128
