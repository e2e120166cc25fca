"""One clear error for what an argument cannot be, wherever it is given."""

import pytest
import torch

from zoology_teach import cost
from zoology_teach.model import LanguageModel, Layer, ModelConfig, layer
from zoology_teach.tasks.examples import Examples
from zoology_teach.tasks.mqar import MQAR
from zoology_teach.tasks.single_query import SingleQuery
from zoology_teach.tasks.source import Text
from zoology_teach.training import Stage, TrainConfig
from zoology_teach.training.measure import accuracy

LAYERS = (layer("attention"),)


@pytest.mark.parametrize(
    ("make", "options", "named"),
    [
        (TrainConfig, {"weight_decay": "a"}, "weight_decay = 'a'"),
        (TrainConfig, {"weight_decay": float("inf")}, "weight_decay = inf"),
        (TrainConfig, {"weight_decay": None}, "weight_decay = None"),
        (TrainConfig, {"warmup": "x"}, "warmup = 'x'"),
        (TrainConfig, {"warmup": float("nan")}, "warmup = nan"),
        (TrainConfig, {"before": 5}, "before = 5: must be a tuple of Stage"),
        (TrainConfig, {"before": None}, "before = None"),
        (TrainConfig, {"before": Stage(MQAR(), 1, 1)}, "before = Stage("),
        (TrainConfig, {"fresh_optimizer": "no"}, "fresh_optimizer = 'no'"),
        (Stage, {"task": None}, "task = None: must be one with sample() and vocab_size"),
        (Stage, {"task": "mqar"}, "task = 'mqar'"),
        (Stage, {"until": "a"}, "until = 'a'"),
        (Stage, {"fresh_optimizer": 1}, "fresh_optimizer = 1"),
        (MQAR, {"rename": "no"}, "rename = 'no': must be True or False"),
        (MQAR, {"power": 50}, "power = 50: must be at most 22.7"),
        (MQAR, {"power": True}, "power = True"),
        (ModelConfig, {"seed": 2**32}, "seed = 4294967296: must be an integer in 0 .. 2**32 - 1"),
        (ModelConfig, {"norm": "no"}, "norm = 'no'"),
        (ModelConfig, {"layers": layer("attention")}, "layers = Layer("),
        (ModelConfig, {"layers": None}, "layers = None"),
        (ModelConfig, {"embedding_std": "a"}, "embedding_std = 'a'"),
        (Layer, {"options": None}, "options = None: must be a mapping"),
        (Text, {"source": ""}, "source = ''"),
        (Text, {"source": None}, "source = None"),
        (Text, {"seq_len": "a"}, "seq_len = 'a'"),
        (Text, {"tokenizer": "bpe-12"}, "tokenizer = 'bpe-12'"),
        (Text, {"tokenizer": None}, "tokenizer = None: must be 'committed', 'gpt2' or 'bpe-V'"),
        (Text, {"max_tokens": 0}, "max_tokens = 0"),
        (Text, {"held_out": True}, "held_out = True"),
        (Text, {"held_out": 1}, "held_out = 1"),
    ],
)
def test_a_configuration_names_what_it_cannot_be(make, options, named):
    needed = {
        Stage: {"task": MQAR(), "steps": 10, "batch_size": 2},
        ModelConfig: {"vocab_size": 8, "d_model": 4, "layers": LAYERS},
        Layer: {"mixer": "attention"},
    }
    with pytest.raises(ValueError) as error:
        make(**needed.get(make, {}) | options)
    assert named in str(error.value)


@pytest.mark.parametrize("task", [MQAR(8, 1, 8), SingleQuery(9, 8)])
@pytest.mark.parametrize("seed", [-1, 2**32, 2**64, 1.5, "a", None, True])
def test_a_seed_has_32_bits(task, seed):
    """Of a larger one the generator would take the last 32 alone: two seeds, one draw."""
    with pytest.raises(ValueError) as error:
        task.sample(1, seed)
    assert f"seed = {seed!r}: must be an integer in 0 .. 2**32 - 1" in str(error.value)
    assert not torch.equal(task.sample(50, 2**32 - 1).inputs, task.sample(50, 0).inputs)


def test_tokens_are_integers():
    tokens = torch.zeros(2, 3, dtype=torch.int64)
    for inputs, labels, name in (
        (tokens.float(), tokens, "inputs"),
        (tokens, tokens + 0.0, "labels"),
    ):
        with pytest.raises(
            ValueError, match=rf"{name} dtype = torch\.float32: must be torch\.int64"
        ):
            Examples(inputs, labels)


def test_sizes_of_a_measurement_are_named():
    model, examples = LanguageModel(ModelConfig(8, 4, LAYERS)), MQAR(8, 1, 8).sample(4)
    attention = cost.build("attention", 4, 4)
    for call, named in (
        (lambda: accuracy(model, examples, 0), "batch_size = 0"),
        (lambda: accuracy(model, examples, 1.5), r"batch_size = 1\.5"),
        (lambda: cost.measure({"attention": attention}, 1.0, 4), r"batch = 1\.0"),
        (lambda: cost.measure({"attention": attention}, 1, 0), "n = 0"),
        (lambda: cost.Machine.measure(0), "rounds = 0"),
    ):
        with pytest.raises(ValueError, match=f"^{named}: must be an integer >= 1"):
            call()


def test_positions_behind_a_mixer_that_does_not_look_are_places_too():
    model = LanguageModel(ModelConfig(8, 4, LAYERS))
    with pytest.raises(ValueError, match=r"positions = \(-1, -1\): must be places in 0 \.\. 4"):
        model(torch.zeros(1, 5, dtype=torch.int64), torch.tensor([[-1]]))


@pytest.mark.parametrize("task", [MQAR(rename=True), MQAR(filler="random"), SingleQuery()])
def test_a_draw_is_the_same_whatever_pytorchs_defaults(task):
    here = task.sample(3, 1)
    torch.set_default_dtype(torch.float64)
    try:
        wide = task.sample(3, 1)
    finally:
        torch.set_default_dtype(torch.float32)
    with torch.device("meta"):
        elsewhere = task.sample(3, 1)
    for other in (wide, elsewhere):
        assert torch.equal(other.inputs, here.inputs) and torch.equal(other.labels, here.labels)
