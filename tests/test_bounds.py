"""The least that is allowed is allowed, and one less is named: every bound outside the mixers.

Those of the mixers stand in `test_mixer_contract`.
"""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.toys import toy_blocks
from zoology_teach import constructions, cost, recall
from zoology_teach.constructions import Index
from zoology_teach.cost import timing
from zoology_teach.experiments.chosen import chosen
from zoology_teach.experiments.executors import open_executor
from zoology_teach.experiments.synthetic_presets import budget_laptop
from zoology_teach.kernels.flash_attention import attention
from zoology_teach.mixers import MIXERS
from zoology_teach.model import LanguageModel, ModelConfig, layer, match_parameters
from zoology_teach.tasks import mqar, ngram, single_query, text, trigram
from zoology_teach.tasks.mqar import MQAR
from zoology_teach.tasks.single_query import SingleQuery
from zoology_teach.training import Stage, TrainConfig

LAYERS = (layer("base_conv"),)
MIXER = MIXERS["rwkv"](4)
EASY = MQAR(4, 1, 4)
ROWS = np.arange(6).reshape(2, 3) % 2
MEMORY = constructions.holographic(MQAR(4, 1, 4), 2)
Q = torch.ones(1, 1, 3, 4)


def executor(workers):
    with open_executor(None, workers):
        pass


LEAST = [  # the argument, the least that is allowed, a call with it
    ("num_pairs", 1, lambda least: MQAR(4, least, 8)),
    ("seq_len", 4, lambda least: MQAR(least, 1, 8)),
    ("vocab_size", 4, lambda least: MQAR(8, 1, least)),
    ("num_examples", 1, lambda least: mqar.sample(least, 8, 1, 8)),
    ("seq_len", 3, lambda least: SingleQuery(least, 4)),
    ("vocab_size", 4, lambda least: SingleQuery(3, least)),
    ("num_examples", 1, lambda least: single_query.sample(least, 5, 8)),
    ("num_examples", 1, lambda least: toy_blocks().sample(least)),
    ("num_documents", 1, lambda least: toy_blocks().apart(least)),
    ("vocab_size", 257, lambda least: text.train_tokenizer(["a b"], least)),
    ("order", 1, lambda least: ngram.count_ngrams(ROWS[0], least)),
    ("vocab_size", 1, lambda least: trigram.fit(np.zeros(3, int), 0 * ROWS, least, copy=True)),
    ("vocab_size", 2, lambda least: ModelConfig(least, 4, LAYERS)),
    ("d_model", 1, lambda least: ModelConfig(4, least, LAYERS)),
    ("seed", 0, lambda least: ModelConfig(4, 4, LAYERS, seed=least)),
    ("max_len", 1, lambda least: ModelConfig(4, 4, LAYERS, max_len=least)),
    ("mlp", 1, lambda least: ModelConfig(4, 4, LAYERS, mlp=least)),
    ("steps", 1, lambda least: TrainConfig(steps=least)),
    ("batch_size", 1, lambda least: TrainConfig(batch_size=least)),
    ("eval_examples", 1, lambda least: TrainConfig(eval_examples=least)),
    ("seed", 0, lambda least: TrainConfig(seed=least)),
    ("train_examples", 32, lambda least: TrainConfig(train_examples=least)),
    ("eval_every", 1, lambda least: TrainConfig(eval_every=least)),
    ("steps", 1, lambda least: Stage(EASY, least, 1)),
    ("batch_size", 1, lambda least: Stage(EASY, 1, least)),
    ("ramp", 0, lambda least: Stage(EASY, 1, 1, ramp=least)),
    ("num_tokens", 1, recall.scaled_threshold),
    ("resamples", 1, lambda least: recall.gap_slices(ROWS, ROWS, {}, ROWS, resamples=least)),
    ("n", 1, lambda least: constructions.as_base_convs(MIXERS["h3"](2, d_state=2), least)),
    ("count", 1, constructions.sign_codes),
    ("channels", 1, lambda least: constructions.holographic(EASY, least)),
    ("d", 1, lambda least: constructions.outer_product(EASY, least)),
    ("num_pairs", 1, lambda least: constructions.channels_needed(least, 8)),
    ("vocab_size", 4, lambda least: constructions.channels_needed(1, least)),
    ("channels", 1, lambda least: constructions.predicted_accuracy(least, 1, 8)),
    ("num_pairs", 1, lambda least: constructions.predicted_accuracy(4, least, 8)),
    ("vocab_size", 4, lambda least: constructions.predicted_accuracy(4, 1, least)),
    ("vocab_size", 4, constructions.attention),
    ("num_bits", 1, lambda least: Index(MEMORY, least)),
    ("pairs", 1, lambda least: constructions.pack(torch.tensor([1]), least)),
    ("num_bits", 0, lambda least: constructions.fooling_pair(int, least)),
    ("num_bits", 0, lambda least: constructions.fewest_bits(least, 1.0)),
    ("window", 1, lambda least: attention(Q, Q, Q, window=least)),
    ("workers", 1, executor),
    ("steps", 1, lambda least: chosen(budget_laptop, steps=least)),
    ("n", 1, lambda least: cost.build("rwkv", 4, least)),
    ("batch", 1, lambda least: cost.count(MIXER, least, 1)),
    ("n", 1, lambda least: cost.count(MIXER, 1, least)),
    ("batch", 1, lambda least: cost.decode(MIXER, least, 1)),
    ("n", 1, lambda least: cost.decode(MIXER, 1, least)),
    ("batch", 1, lambda least: cost.traffic(MIXER, least, 1)),
    ("n", 1, lambda least: cost.traffic(MIXER, 1, least)),
    ("rounds", 1, lambda least: timing.measure({"rwkv": MIXER}, 1, 1, least)),
]


@pytest.mark.parametrize(("argument", "least", "call"), LEAST)
def test_the_least_is_allowed_and_less_is_not(argument, least, call):
    call(least)
    for wrong in (least - 1, float(least), True):
        with pytest.raises(ValueError, match=re.escape(f"{argument} = {wrong}: must be ")):
            call(wrong)


POSITIVE = [
    ("power", lambda value: MQAR(power=value)),
    ("embedding_std", lambda value: ModelConfig(4, 4, LAYERS, embedding_std=value)),
    ("lr", lambda value: TrainConfig(lr=value)),
    ("clip", lambda value: TrainConfig(clip=value)),
    ("lr", lambda value: Stage(EASY, 1, 1, lr=value)),
    ("score_scale", lambda value: constructions.attention(4, score_scale=value)),
    ("flops_per_second", lambda value: cost.Machine(value, 1.0)),
    ("bytes_per_second", lambda value: cost.Machine(1.0, value)),
]


@pytest.mark.parametrize(("argument", "call"), POSITIVE)
def test_what_must_be_positive(argument, call):
    for fine in (1e-30, 1, 2.5):
        call(fine)
    for wrong in (0, -1.0, float("inf"), float("nan"), True, "1"):
        with pytest.raises(ValueError, match=f"{argument} = .*: must be positive and finite"):
            call(wrong)


YES_OR_NO = [
    ("rename", lambda value: MQAR(rename=value)),
    ("norm", lambda value: ModelConfig(4, 4, LAYERS, norm=value)),
    ("fresh_optimizer", lambda value: TrainConfig(fresh_optimizer=value)),
    ("fresh_optimizer", lambda value: Stage(EASY, 1, 1, fresh_optimizer=value)),
    ("rope", lambda value: MIXERS["attention"](4, rope=value)),
]


@pytest.mark.parametrize(("argument", "call"), YES_OR_NO)
def test_what_is_true_or_false_and_nothing_that_counts_as_it(argument, call):
    for fine in (True, False):
        call(fine)
    for wrong in (1, 0, None, "no"):
        named = re.escape(f"{argument} = {wrong!r}: must be True or False")
        with pytest.raises(ValueError, match=named):
            call(wrong)


RANGES = [  # the argument, what is just allowed, what is just not
    ("weight_decay", (0, 0.0), (-1e-9,), lambda value: TrainConfig(weight_decay=value)),
    ("warmup", (0, 0.999), (-0.001, 1), lambda value: TrainConfig(warmup=value)),
    ("seed", (2**31 - 1,), (2**31,), lambda value: TrainConfig(seed=value)),
    ("level", (0.001, 0.999), (0, 1), lambda x: recall.gap_slices(ROWS, ROWS, {}, ROWS, level=x)),
    ("seq_len", (4, 6), (5,), lambda value: MQAR(value, 1, 8)),
    ("seq_len", (12,), (10,), lambda value: MQAR(value, 3, 8)),
    ("vocab_size", (8, 10), (9, 6), lambda value: MQAR(12, 3, value)),
    ("seq_len", (3, 5), (4, 6), lambda value: SingleQuery(value, 8)),
    ("vocab_size", (4, 6), (5, 7), lambda value: SingleQuery(5, value)),
    ("num_examples", (30,), (31,), lambda value: toy_blocks().sample(value)),
    ("inputs", (0, 3), (-1, 4), lambda x: LanguageModel(ModelConfig(4, 4, LAYERS))(two(x))),
    ("N", (1, 2), (3,), lambda n: LanguageModel(ModelConfig(4, 4, LAYERS, max_len=2))(zeros(n))),
]


def two(token: int) -> torch.Tensor:
    return torch.tensor([[1, token]])


def zeros(n: int) -> torch.Tensor:
    return torch.zeros(1, n, dtype=torch.int64)


@pytest.mark.parametrize(("argument", "allowed", "refused", "call"), RANGES)
def test_both_ends_of_what_is_allowed(argument, allowed, refused, call):
    for value in allowed:
        call(value)
    for value in refused:
        with pytest.raises(ValueError, match=f"{argument} = .*{value}.*: must be"):
            call(value)


def test_a_model_within_one_percent_of_what_was_asked():
    config = ModelConfig(4, 8, LAYERS)
    for mlp in (1, 2, 7):
        size = LanguageModel(replace(config, mlp=mlp)).num_parameters()
        assert match_parameters(config, size).mlp == mlp
    with pytest.raises(ValueError, match="parameters = 0: must be an integer >= 1"):
        match_parameters(config, 0)
