"""The presets for texts: models of one size, draws of their own, a stated end."""

from dataclasses import replace

import pytest
import torch

from zoology_teach.experiments.text_models import MIXERS_ON_TEXT, behind_short_conv
from zoology_teach.experiments.text_presets import PRESETS
from zoology_teach.mixers import MIXERS
from zoology_teach.model import LanguageModel, layer


@pytest.mark.parametrize("preset", PRESETS)
def test_compared_models_have_the_same_size(preset):
    sizes = {}
    for mixer in {**MIXERS_ON_TEXT, **dict.fromkeys(PRESETS[preset].mixers)}:
        with torch.device("meta"):
            sizes[mixer] = LanguageModel(PRESETS[preset].run(mixer).model).num_parameters()
    assert max(sizes.values()) <= 1.01 * min(sizes.values()), sizes


def test_a_dataset_without_an_end_is_not_read_to_it():
    laptop = PRESETS["laptop"]
    endless = replace(laptop, text=replace(laptop.text, source="hf:endless"))
    run = endless.run("base_conv", steps=10)
    assert run.text.max_tokens == 2 * 10 * 8 * 256
    assert PRESETS["gpu"].run("attention").text.max_tokens == 210_000_000


def test_layers_that_draw_have_seeds_of_their_own():
    run = replace(PRESETS["pile"], parameters=128_000_000).run("hybrid_random", seed=1)
    drawn = [x.options["seed"] for x in run.model.layers if x.mixer == "sparse_attention"]
    assert drawn == [1, 1001, 2001]


def test_what_is_drawn_differs_from_seed_to_seed():
    for mixer in ("hybrid_random_short_conv", "hybrid_learned_short_conv"):
        runs = [PRESETS["laptop"].run(mixer, seed) for seed in (0, 1)]
        assert [run.model.layers[1].options["seed"] for run in runs] == [0, 1]


def test_any_mixer_stands_in_turn_with_base_conv():
    for name in sorted(set(MIXERS) - set(MIXERS_ON_TEXT)):
        run = PRESETS["laptop"].run(name)
        assert [x.mixer for x in run.model.layers] == ["base_conv", name]


def test_a_long_filter_is_explicit_up_to_256_tokens():
    for n, kind in ((255, "long"), (256, "long"), (257, "implicit")):
        short, long, *_ = MIXERS_ON_TEXT["base_conv"](4, n, 1)
        assert (short.options, long.options) == ({}, {"filter": kind, "max_len": n})


def test_the_layers_of_each_model():
    """Depth 8, N = 512, 4 heads. Of a hybrid every fourth layer attends, of few the last."""
    short, long = layer("base_conv"), layer("base_conv", filter="implicit", max_len=512)

    def hybrid(mixer="attention", **options):
        own = layer(mixer, num_heads=4, **options)
        return (short, long, short, own) * 2

    def sparse(selection, **options):
        return hybrid("sparse_attention", selection=selection, **options)

    made = {name: make(8, 512, 4) for name, make in MIXERS_ON_TEXT.items()}
    assert made == {
        "attention": (layer("attention", num_heads=4, rope=True),) * 8,
        "base_conv": (short, long) * 4,
        "hyena": (layer("hyena", max_len=512),) * 8,
        "hybrid": hybrid(),
        "hybrid_random": sparse("random", p=0.44),
        "hybrid_programmatic": sparse("programmatic", blank=None),
        "hybrid_learned": sparse("learned", k=128, soft_steps=200),
        "attention_short_conv": (layer("attention", num_heads=4, short_conv=3),) * 8,
        "hybrid_short_conv": hybrid(short_conv=3),
        "hybrid_random_short_conv": sparse("random", p=0.44, short_conv=3),
        "hybrid_programmatic_short_conv": sparse("programmatic", blank=None, short_conv=3),
        "hybrid_learned_short_conv": sparse("learned", k=224, soft_steps=200, short_conv=3),
        "hybrid_induction": hybrid(short_conv=3, init="induction"),
    }
    explicit = layer("base_conv", filter="long", max_len=32)
    one_head = layer("attention", num_heads=1)
    assert MIXERS_ON_TEXT["hybrid"](2, 32, 1) == (short, one_head)
    assert MIXERS_ON_TEXT["hybrid"](3, 32, 1) == (short, explicit, one_head)
    assert behind_short_conv("rwkv")(4, 32, 1) == (short, layer("rwkv")) * 2
    assert behind_short_conv("long_conv")(2, 32, 1) == (short, layer("long_conv", max_len=32))
