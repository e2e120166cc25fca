"""Confounders and lengths: what is changed, and what is measured (chapters 05, 08)."""

import json
import math
from dataclasses import replace

import pytest
import torch

from zoology_teach.experiments import usual_start
from zoology_teach.experiments.chosen import chosen
from zoology_teach.experiments.confounders import CELL, PARAMETERS, changes, confounders
from zoology_teach.experiments.lesson import lesson, lesson_run
from zoology_teach.experiments.longer import (
    MIXED,
    MIXERS,
    TESTS,
    LongerRun,
    by_length,
    longer,
    longer_run,
)
from zoology_teach.experiments.published_starts import start_as_published
from zoology_teach.experiments.results import COLUMNS
from zoology_teach.experiments.sweep import run as sweep
from zoology_teach.experiments.synthetic_presets import PRESETS
from zoology_teach.model import LanguageModel, ModelConfig, layer
from zoology_teach.tasks.asking import Asking
from zoology_teach.tasks.examples import IGNORED
from zoology_teach.tasks.mixture import Mixture
from zoology_teach.tasks.mqar import MQAR
from zoology_teach.training import TrainConfig, accuracy


def test_the_last_question_and_every_token():
    task = MQAR(16, 3, 32)
    plain, last = task.sample(50, 7), Asking(task, "last").sample(50, 7)
    everywhere = Asking(task, "everywhere").sample(50, 7)
    assert (last.inputs == plain.inputs).all() and (everywhere.inputs == plain.inputs).all()
    for row in range(50):
        asked = (plain.labels[row] != IGNORED).nonzero()[:, 0].tolist()
        assert (last.labels[row] != IGNORED).nonzero()[:, 0].tolist() == asked[-1:]
        assert last.labels[row, asked[-1]] == plain.labels[row, asked[-1]]
        for t in range(16):
            if t in asked:
                assert everywhere.labels[row, t] == plain.labels[row, t]
            elif t < 15:
                assert everywhere.labels[row, t] == plain.inputs[row, t + 1]
            else:
                assert everywhere.labels[row, t] == IGNORED
    with pytest.raises(ValueError, match="questions = 'first': must be one of"):
        Asking(task, "first")


def test_shuffled_answers_are_those_of_the_sequence_in_any_order():
    task = MQAR(16, 3, 32, rename=True)
    plain, shuffled = task.sample(2000, 7), Asking(task, "shuffled").sample(2000, 7)
    assert (shuffled.inputs == plain.inputs).all()
    assert (shuffled.positions == plain.positions).all()
    assert (shuffled.targets.sort(dim=1).values == plain.targets.sort(dim=1).values).all()
    right = (shuffled.targets == plain.targets).float().mean()
    assert abs(right - 1 / 3) < 0.03  # of 6,000 answers; one in three stays by chance


def test_labels_and_mixtures_do_not_depend_on_torchs_defaults():
    tasks = (Asking(MQAR(16, 3, 32), "shuffled"), Mixture((MQAR(16, 2, 32), MQAR(32, 4, 64))))
    plain = [task.sample(20, 3) for task in tasks]
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            odd = [task.sample(20, 3) for task in tasks]
    finally:
        torch.set_default_dtype(torch.float32)
    for one, other in zip(plain, odd, strict=True):
        assert torch.equal(one.inputs, other.inputs) and torch.equal(one.labels, other.labels)


def test_a_mixture_draws_each_of_its_tasks_as_often():
    mixture = Mixture((MQAR(16, 2, 32), MQAR(32, 4, 64)))
    assert mixture.vocab_size == 64
    generator = torch.Generator().manual_seed(0)
    lengths = [mixture.sample(2, generator).inputs.shape[1] for _ in range(400)]
    assert set(lengths) == {16, 32}
    assert abs(lengths.count(16) - 200) < 4 * 10  # four standard deviations
    assert (mixture.sample(3, 5).inputs == mixture.sample(3, 5).inputs).all()
    with pytest.raises(ValueError, match="tasks = \\(\\): must be at least one task"):
        Mixture(())


@pytest.mark.parametrize("name", ["attention", "hyena", "h3", "linear_attention", "base_conv"])
def test_gpt2s_start(name):
    model = LanguageModel(ModelConfig(32, 64, (layer(name), layer(name)), seed=3))
    untouched = {k: v.clone() for k, v in model.named_parameters() if "embedding" in k}
    start_as_published(model)
    for mixer in model.mixers:
        inner, out = mixer.projections()
        for linear in inner:
            assert linear.weight.std().item() == pytest.approx(0.02, rel=0.15)
        if out is not None:
            assert out.weight.std().item() == pytest.approx(0.01, rel=0.1)  # 0.02 / sqrt(2 · 2)
    for key, value in untouched.items():
        assert torch.equal(dict(model.named_parameters())[key], value)


def test_mambas_and_rwkvs_own_starts():
    mamba = LanguageModel(ModelConfig(32, 64, (layer("mamba"),) * 4))
    start_as_published(mamba)
    for mixer in mamba.mixers:
        assert 0.97 / 8 < mixer.project_in.weight.abs().max() <= 1 / 8  # ±1/sqrt(64)
        assert 0.97 / 16 < mixer.out.weight.abs().max() <= 1 / 16  # over sqrt(4 layers)
    rwkv = LanguageModel(ModelConfig(32, 64, (layer("rwkv"),)))
    start_as_published(rwkv)
    mixer = rwkv.mixers[0]
    for zero in (mixer.key, mixer.receptance, mixer.out):
        assert not zero.weight.any()
    assert torch.allclose(mixer.value.weight @ mixer.value.weight.T, torch.eye(64), atol=1e-5)


def test_one_thing_changes_at_a_time():
    base, published, last, everywhere, mlp, wide = changes(
        usual_start.run("rwkv", 64, CELL, 1, lr=5e-3), 74
    )
    same = {"recipe": base.recipe}
    assert replace(published, start="shared", **same) == base
    assert replace(last, trained_on=None, train=base.train, **same) == base
    assert [s.task for s in last.train.before] == [
        Asking(s.task, "last") for s in base.train.before
    ]
    assert everywhere.trained_on == Asking(CELL, "everywhere") and everywhere.task == CELL
    steps = [s.steps for s in base.train.before]
    assert max(steps) > 800 and [s.steps for s in last.train.before] == steps
    assert [s.steps for s in everywhere.train.before] == [min(s, 800) for s in steps]
    assert replace(mlp, model=base.model, **same) == base and mlp.model.mlp == 256
    assert replace(wide, model=base.model, **same) == base and wide.model.d_model == 74
    for run in confounders():
        if "equal parameters" in run.recipe and run.train.seed == 0:
            size = LanguageModel(run.model).num_parameters()
            assert abs(size - PARAMETERS) < 0.02 * PARAMETERS
    ids = [r.id for r in confounders()]
    assert len(set(ids)) == len(ids) == 8 * 2 * 6 * 3


def test_a_run_trains_on_one_task_and_is_measured_on_another(tmp_path):
    target = MQAR(16, 2, 32)
    base = usual_start.run("attention_short_conv", 16, target, 0, lr=1e-2)
    quick = TrainConfig(steps=4, batch_size=8, eval_examples=30)
    asked = replace(base, train=quick, trained_on=Asking(target, "last"))
    row = asked.execute()
    assert (row["accuracy"] * 60).is_integer() or abs(row["accuracy"] * 60 % 1 - 0.5) > 0.49
    assert row["num_pairs"] == 2 and json.loads(row["config"])["trained_on"]["questions"] == "last"
    with pytest.raises(ValueError, match="start = 'own': must be one of"):
        replace(base, start="own")


def test_longer_measures_each_length_with_its_state(tmp_path):
    run = longer_run("attention_short_conv", 0, mixed=True, d_model=8)
    assert run.trained_on == MIXED and {t.seq_len for t in TESTS} == {64, 128, 256, 512, 1024}
    tests = (MQAR(16, 2, 256), MQAR(40, 4, 256))
    quick = replace(run, train=TrainConfig(steps=2, batch_size=4, eval_examples=10), tests=tests)
    table = sweep([quick], out=tmp_path / "longer.csv", executor="here")
    assert tuple(table.columns) == (*COLUMNS, "tested")
    rows = by_length(table)
    assert rows[["N", "K"]].values.tolist() == [[16, 2], [40, 4]]
    model, _, _ = quick._trained(None, "cpu", False)
    for row, test in zip(rows.itertuples(), tests, strict=True):
        right = accuracy(model, test.sample(250, 1), batch_size=32)
        assert row.accuracy == pytest.approx(right, abs=1e-6)
        assert row.state_size == model.state_size(test.seq_len)
    assert by_length(table.assign(tested=math.nan)).empty


def test_what_ends_at_a_length_is_built_for_the_longest():
    for run in longer():
        assert isinstance(run, LongerRun)
    for mixer in MIXERS:
        model = LanguageModel(longer_run(mixer, 0, mixed=False, d_model=4).model)
        model(torch.ones(1, 1024, dtype=torch.int64), torch.tensor([[1023]]))
    assert len({r.id for r in longer()}) == 8 * 2 * 3


@pytest.mark.parametrize("name", ["confounders", "longer"])
def test_a_curve_can_be_chosen_by_its_name(name):
    runs = chosen(PRESETS[name]["laptop"], mixers=["attention_short_conv"], seeds=[1])
    assert {r.mixer for r in runs} == {"attention_short_conv"}
    assert {r.train.seed for r in runs} == {1}


def test_a_lesson_in_recall_and_its_controls():
    run = lesson_run("hybrid_short_conv", 1)
    stages = run.train.stages(run.trained_on)
    assert [(s.task.seq_len, s.task.num_pairs, s.batch_size, s.steps) for s in stages] == [
        (16, 2, 128, 100), (32, 4, 64, 50), (64, 8, 32, 49), (64, 8, 32, 1)
    ]  # fmt: skip
    rates = {run.train.lr_at(i, s.steps - 1) for i, s in enumerate(stages)}
    assert rates == {3e-3} and all(s.task.rename for s in stages)
    plain = lesson_run("hybrid_short_conv", 1, "not renamed")
    assert not any(s.task.rename for s in plain.train.stages(plain.trained_on))
    shuffled = lesson_run("hybrid_short_conv", 1, "shuffled values")
    for one, other in zip(shuffled.train.stages(shuffled.trained_on), stages, strict=True):
        assert one.task == Asking(other.task, "shuffled") and one.steps == other.steps
    assert len({r.id for r in lesson()}) == 9 * 3


def test_a_lessons_row_has_the_slices_of_unread_text():
    run = replace(lesson_run("base_conv", 0), every=200)
    row = replace(run, train=replace(run.train, before=(), eval_examples=5)).execute()
    assert set(row) == set(run.columns)
    assert 1500 < row["ar_ppl"] < 3000 and 1500 < row["ppl"] < 3000  # V = 2,048, nothing learned
