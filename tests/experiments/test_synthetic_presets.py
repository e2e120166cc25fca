"""The grids behind the tables: the paper's grid, and what a command chooses of them."""

import pytest

from zoology_teach.experiments.chosen import chosen
from zoology_teach.experiments.synthetic_presets import (
    LAPTOP_RECIPES,
    OTHER_RECIPE,
    PRESETS,
    figure2_identity,
    laptop_run,
)
from zoology_teach.mixers import MIXERS


def test_the_paper_preset_is_the_papers_set_up():
    runs = PRESETS["figure2"]["paper"]()
    assert {r.task.vocab_size for r in runs} == {8192}
    shapes = {(r.task.seq_len, r.task.num_pairs, r.train.batch_size) for r in runs}
    assert shapes == {(64, 4, 512), (128, 8, 512), (256, 16, 256), (512, 64, 128)}
    assert {r.model.d_model for r in runs} == {64, 128, 256, 512}
    rates = sorted({r.train.lr for r in runs})
    assert rates == pytest.approx([1e-4, 10 ** (-10 / 3), 10 ** (-8 / 3), 1e-2])
    assert {r.train.train_examples for r in runs} == {100_000}
    assert all(len(r.model.layers) == 2 for r in runs)
    assert {r.model.max_len is not None for r in runs if r.mixer == "base_conv"} == {False}
    assert len({r.id for r in runs}) == len(runs)


def test_a_choice_keeps_what_has_one_of_its_values():
    runs = chosen(figure2_identity, mixers=["rwkv", "attention"], widths=[16, 64], seeds=[1])
    assert {(r.mixer, r.model.d_model, r.train.seed) for r in runs} == {
        (mixer, d, 1) for mixer in ("rwkv", "attention") for d in (16, 64)
    }
    assert {r.task.seq_len for r in runs} == {32, 64, 128}
    own = {r.id for r in figure2_identity()}
    assert {r.id for r in runs} < own
    shorter = chosen(figure2_identity, mixers=["rwkv"], steps=7)
    assert {r.train.steps for r in shorter} == {7} and not {r.id for r in shorter} & own
    assert len(chosen(figure2_identity)) == len(own) == 684


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"widths": [48]}, r"width = 48: must be one of \[16, 32, 64, 128\]"),
        ({"lengths": [33]}, "length = 33"),
        ({"seeds": [3]}, r"seed = 3: must be one of \[0, 1, 2\]"),
        ({"steps": 0}, "steps = 0"),
    ],
)
def test_what_leaves_no_run_is_named(options, named):
    with pytest.raises(ValueError, match=named):
        chosen(figure2_identity, **options)
    with pytest.raises(ValueError, match="mixer = 's4d': must be one of"):
        chosen(PRESETS["budget"]["laptop"], mixers=["s4d"])


def test_a_mixer_without_a_recipe_gets_a_stated_default():
    others = sorted(set(MIXERS) - set(LAPTOP_RECIPES))
    assert others
    for mixer in others:
        runs = chosen(figure2_identity, mixers=[mixer], widths=[16], lengths=[32], seeds=[0])
        assert sorted(r.train.lr for r in runs) == sorted(OTHER_RECIPE.rates)
        assert {r.recipe for r in runs} == {"usual init"}
    run = laptop_run("s4d", 16, 32, 0)
    first, second = run.model.layers
    assert first.options == {"init": "pair"} and "init" not in second.options
