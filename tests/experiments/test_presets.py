"""Each preset is its table: a number changed in a preset would leave measured rows without a run.

A run's id hashes its whole configuration. Presets without a committed table are written out.
"""

import csv
from dataclasses import replace
from hashlib import sha256
from itertools import product
from pathlib import Path

import pytest

from zoology_teach.experiments import synthetic_presets, text_presets, usual_start
from zoology_teach.experiments.usual_start import lessons
from zoology_teach.model import layer
from zoology_teach.tasks.mqar import MQAR
from zoology_teach.training import Stage, TrainConfig

RESULTS = Path(__file__).parents[2] / "book" / "results"
TABLES = {
    "figure2": ("figure2", "laptop"),
    "figure2_identity": ("figure2", "identity"),
    "budget": ("budget", "laptop"),
    "input_filters": ("input_filters", "laptop"),
    "hybrids": ("hybrids", "laptop"),
    "pairs_and_length": ("pairs_and_length", "laptop"),
    "curriculum": ("curriculum", "laptop"),
    "vocabulary": ("vocabulary", "laptop"),
    "confounders": ("confounders", "laptop"),
}
IN_PARTS = ("figure2", "pairs_and_length", "curriculum", "vocabulary", "confounders")
HALVES = {"attention": (64, 1e-3, 2e-3), "mamba": (64, 5e-3, 1e-2)}
HALVES |= dict.fromkeys(("attention_short_conv", "linear_attention"), (64, 5e-3, 1e-2))
HALVES |= dict.fromkeys(("base_conv", "rwkv", "h3", "hyena"), (128, 5e-3, 1e-2))


def measured(name: str) -> set[str]:
    with (RESULTS / f"{name}.csv").open(newline="") as file:
        return {row["run"] for row in csv.DictReader(file)}


@pytest.mark.parametrize("table", TABLES)
def test_a_measured_table_holds_the_runs_of_its_preset(table):
    name, preset = TABLES[table]
    runs = [run.id for run in synthetic_presets.PRESETS[name][preset]()]
    assert len(runs) == len(set(runs)) and set(runs) >= measured(table)
    if table not in IN_PARTS:
        assert set(runs) == measured(table)


def promised_runs() -> list[dict[str, str]]:
    with (Path(__file__).parent / "presets.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("promised", promised_runs(), ids=lambda p: f"{p['name']}-{p['preset']}")
def test_a_preset_keeps_its_runs(promised):
    """So that rows measured elsewhere, or later, belong to it."""
    runs = synthetic_presets.PRESETS[promised["name"]][promised["preset"]]()
    assert fingerprint(runs) == {"runs": promised["runs"], "digest": promised["digest"]}


def test_a_mixer_without_a_recipe_of_its_own():
    runs = synthetic_presets.figure2_identity(["s4d"])
    assert len(runs) == 3 * 3 * 4 * 3 and {r.train.lr for r in runs} == {5e-3, 1e-2, 2e-2}
    assert {r.model.embedding_std for r in runs} == {0.02} and all(r.model.norm for r in runs)


def test_every_preset_is_promised():
    presets = {(n, preset) for n, them in synthetic_presets.PRESETS.items() for preset in them}
    assert {(p["name"], p["preset"]) for p in promised_runs()} == presets


def fingerprint(runs: list) -> dict[str, str]:
    """How many runs, and a digest of their ids in order."""
    ids = [run.id for run in runs]
    assert len(ids) == len(set(ids))
    return {"runs": str(len(ids)), "digest": sha256(" ".join(ids).encode()).hexdigest()[:12]}


def test_the_large_text_presets():
    gpu, pile = text_presets.PRESETS["gpu"], text_presets.PRESETS["pile"]
    assert gpu.mixers == pile.mixers and len(pile.mixers) == 5
    sizes = [(p.vocab_size, p.d_model, p.depth, p.num_heads, p.parameters) for p in (gpu, pile)]
    assert sizes == [(8192, 512, 8, 8, 29_000_000), (50257, 768, 12, 12, 125_000_000)]
    texts = [(p.text.seq_len, p.text.tokenizer, p.text.held_out) for p in (gpu, pile)]
    assert texts == [(512, "bpe-8192", 0.02), (2048, "gpt2", 0.001)]
    assert [p.text.max_tokens for p in (gpu, pile)] == [210_000_000, 10_000_000_000]
    assert gpu.train == TrainConfig(
        steps=6000, batch_size=64, lr=1e-3, eval_examples=500, eval_every=500
    )
    assert pile.train == TrainConfig(
        steps=38_000, batch_size=128, lr=8e-4, eval_examples=500, eval_every=2000
    )
    assert pile.train.steps * pile.train.batch_size * 2048 == pytest.approx(10e9, rel=0.01)
    assert (gpu.thresholds, pile.thresholds) == ((25, 1250), (1250, 12500))
    assert text_presets.PRESETS["laptop"].thresholds == (20, 100)
    for preset, micro_batch in ((gpu, None), (pile, 8)):
        run = preset.run("attention")
        assert (run.micro_batch, run.bf16, preset.device) == (micro_batch, True, "cuda")
    laptop = text_presets.PRESETS["laptop"]
    run = laptop.run("attention")
    assert (run.micro_batch, run.bf16, laptop.device) == (None, False, "cpu")
    assert run.choosing == text_presets.CHOOSING_PLAYS and pile.choosing == ()
    with pytest.raises(ValueError, match="seed = -1: must be an integer >= 0"):
        laptop.run("attention", -1)
    assert laptop.run("attention", 0).train.seed == 0
    assert laptop.run("attention").train.before == ()


def test_recall_before_text():
    """200 updates of MQAR, K/N = 1/8, its tokens renamed in every batch; the first has a ramp."""
    lessons = text_presets.mqar_first(2048, 3e-3)
    assert lessons == (
        Stage(MQAR(16, 2, 2048, rename=True), 100, 128, lr=3e-3, ramp=20),
        Stage(MQAR(32, 4, 2048, rename=True), 50, 64, lr=3e-3, ramp=0),
        Stage(MQAR(64, 8, 2048, rename=True), 50, 32, lr=3e-3, ramp=0),
    )
    laptop = text_presets.PRESETS["laptop"]
    without, first = (laptop.run("rwkv", 1, warm_up=w) for w in (False, True))
    assert (without.train.before, without.train.fresh_optimizer) == ((), False)
    assert (first.train.before, first.train.fresh_optimizer) == (lessons, True)
    assert (without.name, first.name) == ("rwkv", "rwkv taught")


def test_models_of_a_text_table_with_a_control():
    """Each model without and with lessons, a start by hand without."""
    laptop = text_presets.PRESETS["laptop"]
    names = [run.name for run in laptop.runs([0])]
    taught = [name for name in names if name.endswith(" taught")]
    assert len(names) == len(set(names)) == 2 * len(laptop.mixers) + 1
    assert len(taught) == len(laptop.mixers) and "hybrid_induction taught" not in names
    some = laptop.only(["hybrid_induction", "hyena"])
    ids = {run.id for run in laptop.runs()}
    assert len(some.runs()) == 9 and {run.id for run in some.runs()} < ids
    assert [r.name for r in laptop.only(["s4d"]).runs([1])] == ["s4d", "s4d taught"]


def test_four_passes_of_the_table_are_told_from_one():
    longer, laptop = text_presets.PRESETS["longer"], text_presets.PRESETS["laptop"]
    runs = longer.runs([0])
    assert len(runs) == 8 and {run.mixer for run in runs} < set(laptop.mixers)
    assert {run.train.steps for run in runs} == {4 * 800}
    assert not {run.id for run in runs} & {run.id for run in laptop.runs()}


@pytest.mark.parametrize(
    ("n", "k", "sizes"),
    [
        (16, 2, []),
        (32, 4, [(16, 2)]),
        (64, 8, [(16, 2), (32, 4)]),
        (64, 16, [(16, 2), (32, 4), (64, 8)]),
        (126, 8, [(16, 2), (32, 4), (64, 8)]),
        (128, 16, [(32, 2), (64, 4), (128, 8)]),
    ],
)
def test_lessons_double_pairs_and_tokens_up_to_the_target(n, k, sizes):
    budgets = [(2500, 50), (300, 0), (300, 0)]
    found = lessons(MQAR(n, k, 256), 64)
    assert [(s.task.seq_len, s.task.num_pairs) for s in found] == sizes
    assert [(s.steps, s.ramp) for s in found] == budgets[: len(found)]
    assert all((s.batch_size, s.until, s.task.vocab_size) == (64, 0.9, 256) for s in found)


def test_figure_2_from_the_usual_start():
    runs = usual_start.figure2()
    expected = {
        (mixer, d, n, n // 8, seed, lr, batch, 256)
        for mixer, (batch, *rates) in HALVES.items()
        for n, seed, lr in product((32, 64, 128), (0, 1, 2), rates)
        for d in ((4, 8, 16, 32, 64, 128) if "attention" in mixer else (16, 32, 64, 128))
    }
    found = [
        (
            *(r.mixer, r.model.d_model, r.task.seq_len, r.task.num_pairs, r.train.seed),
            *(r.train.lr, r.train.batch_size, r.task.vocab_size),
        )
        for r in runs
    ]
    assert len(found) == len(set(found)) and set(found) == expected
    assert all(r.train.steps == 1200 and r.train.warmup == 0 for r in runs)
    assert all(r.train.before == lessons(r.task, r.train.batch_size) for r in runs)
    assert all(r.model.seed == r.train.seed for r in runs)
    for r in runs:
        assert r.model.max_len == (r.task.seq_len if r.mixer == "attention" else None)


def test_two_layers_from_the_usual_start():
    short = layer("base_conv")
    assert usual_start.layers("attention", 32) == (layer("attention"),) * 2
    assert usual_start.layers("attention_short_conv", 32) == (short, layer("attention"))
    assert usual_start.layers("base_conv", 32) == (
        short,
        layer("base_conv", filter="implicit", max_len=32),
    )
    assert usual_start.layers("hyena", 32) == (layer("hyena", max_len=32),) * 2
    assert usual_start.layers("linear_attention", 32) == (short, layer("linear_attention"))
    assert usual_start.layers("long_conv", 32) == (short, layer("long_conv", max_len=32))


def test_with_and_without_the_curriculum():
    runs = usual_start.ablation()
    found = {(r.mixer, r.recipe, r.train.seed, r.train.lr) for r in runs}
    recipes = ("usual init, curriculum", "usual init, target only")
    expected = {
        (mixer, recipe, seed, lr)
        for mixer, (_, *rates) in HALVES.items()
        for recipe, seed, lr in product(recipes, (0, 1, 2), rates)
    }
    assert found == expected and len(runs) == len(expected)
    assert {(r.task, r.model.d_model) for r in runs} == {(MQAR(32, 4, 256), 64)}
    alone = [r.train for r in runs if r.recipe == recipes[1]]
    assert all((t.steps, t.warmup, t.before) == (1200 + 2500, 50 / 3700, ()) for t in alone)


def test_vocabularies_to_the_papers():
    runs = usual_start.vocabulary()
    assert len(runs) == 3 * 4 * 2 * 2
    assert {r.task for r in runs} == {MQAR(32, 4, v) for v in (64, 256, 1024, 8192)}
    assert {r.mixer for r in runs} == {"base_conv", "attention_short_conv"}
    assert {r.model.d_model for r in runs} == {64}
    with_another = usual_start.vocabulary(["s4d"])
    assert {(r.train.batch_size, r.train.lr) for r in with_another} == {(64, 5e-3), (64, 1e-2)}


def test_the_papers_training():
    runs = usual_start.figure2_paper()
    assert len(runs) == 4 * 4 * 4 * 3 * 7
    epochs = {64: 196, 128: 196, 256: 391, 512: 782}  # 100,000 examples in batches, rounded up
    for r in runs:
        train, n = r.train, r.task.seq_len
        assert (train.steps, train.eval_every) == (64 * epochs[n], epochs[n])
        assert (train.warmup, train.stop_accuracy, train.eval_examples) == (0.0, 0.99, 3000)
        assert r.model.max_len == (n if r.mixer == "attention" else None)
    assert {r.train.seed for r in runs} == {0, 1, 2}


def test_nearer_to_the_released_code():
    """The paper's grid, with three mixers' options of the released code and without clipping."""
    paper, released = usual_start.figure2_paper(), usual_start.figure2_released()
    assert len({run.id for run in (*paper, *released)}) == len(paper) + len(released)
    for ours, theirs in zip(paper, released, strict=True):
        assert (theirs.mixer, theirs.task) == (ours.mixer, ours.task)
        assert theirs.train == replace(ours.train, clip=1e9) and ours.train.clip == 1
        first, second = ours.model.layers
        options = {
            "h3": {"d_state": ours.task.seq_len},
            "mamba": {"expand": 2},
            "linear_attention": {"feature_dim": 8},
        }
        if ours.mixer in options:
            second = layer(ours.mixer, **options[ours.mixer])
            first = layer("base_conv") if ours.mixer == "linear_attention" else second
        assert theirs.model == replace(ours.model, layers=(first, second))
