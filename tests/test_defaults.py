"""Defaults that a result rests on: a run's id names only the fields that differ from them.

Were one to change, measured rows would silently belong to another run; then it needs another name.
"""

import inspect
from dataclasses import MISSING, fields

import pytest

from zoology_teach import recall
from zoology_teach.constructions import lookup, memory
from zoology_teach.experiments.synthetic_presets import laptop_run
from zoology_teach.experiments.text_presets import Preset
from zoology_teach.experiments.text_runs import TextRun
from zoology_teach.mixers import MIXERS
from zoology_teach.model import ModelConfig
from zoology_teach.tasks import documents, mqar, ngram, single_query, text, trigram
from zoology_teach.tasks.source import Text
from zoology_teach.training import Stage, TrainConfig, train

FIELDS = {
    TrainConfig: {
        **{"steps": 500, "batch_size": 32, "lr": 0.01, "weight_decay": 0.1, "warmup": 0.05},
        **{"clip": 1.0, "train_examples": None, "eval_examples": 1000, "eval_every": None},
        **{"stop_accuracy": None, "seed": 0, "before": (), "fresh_optimizer": False},
    },
    Stage: {"until": None, "lr": None, "ramp": 0, "fresh_optimizer": False},
    ModelConfig: {"norm": True, "max_len": None, "embedding_std": 0.02, "seed": 0, "mlp": None},
    mqar.MQAR: {
        **{"seq_len": 64, "num_pairs": 8, "vocab_size": 256, "power": 0.01},
        **{"filler": "blank", "rename": False},
    },
    single_query.SingleQuery: {"seq_len": 65, "vocab_size": 16},
    Text: {
        **{"source": "shakespeare", "seq_len": 256, "tokenizer": "committed"},
        **{"max_tokens": None, "held_out": None, "content": ""},
    },
    TextRun: {"micro_batch": None, "bf16": False, "choosing": ()},
    Preset: {
        "micro_batch": None,
        "bf16": False,
        "warm_ups": (False,),
        "choosing": (),
        "controls": (),
    },
}
OPTIONS = {
    "attention": {
        **{"num_heads": 1, "window": None, "short_conv": None, "rope": False, "init": "usual"}
    },
    "sliding_window": {"window": 64, "num_heads": 1, "init": "usual"},
    "sparse_attention": {
        **{"selection": "full", "num_heads": 1, "short_conv": None, "p": 0.5, "blank": 0, "k": 16},
        **{"noise": 1.0, "soft_steps": 0, "seed": 0, "init": "usual"},
    },
    "base_conv": {"filter": "short", "kernel_size": 3, "max_len": 1024, "init": "usual"},
    "base_conv_autocorrelation": {"threshold": 0.95, "blank": None, "init": "usual"},
    "long_conv": {"max_len": 1024},
    "s4d": {"d_state": 64},
    "h3": {"d_state": 64, "shift_taps": 3, "init": "usual"},
    "hyena": {"max_len": 1024, "kernel_size": 3, "init": "usual"},
    "rwkv": {"init": "usual"},
    "mamba": {"d_state": 16, "expand": 1, "kernel_size": 4, "init": "usual"},
    "linear_attention": {
        **{"feature_map": "taylor", "feature_dim": 16, "num_heads": 1, "chunk": 128},
        "init": "usual",
    },
}
ARGUMENTS = {
    mqar.sample: {"power": 0.01, "filler": "blank", "seed": 0},
    mqar.MQAR.sample: {"seed": 0},
    single_query.sample: {"seed": 0},
    single_query.SingleQuery.sample: {"seed": 0},
    text.Blocks.sample: {"seed": 0},
    text.load: {
        **{"source": "shakespeare", "seq_len": 256, "held_out": None, "seed": 0},
        **{"tokenizer": None, "max_tokens": None, "damaged": "refuse"},
        **{"text_field": "text", "split": "train"},
    },
    documents.read: {
        **{"damaged": "refuse", "text_field": "text", "split": "train", "largest": 2**23}
    },
    text.train_tokenizer: {"vocab_size": 2048},
    ngram.distance_back: {"order": 2},
    ngram.times_before: {"order": 2},
    trigram.fit: {"steps": 30},
    recall.gap_slices: {"resamples": 2000, "level": 0.95, "seed": 0},
    laptop_run: {"num_pairs": None, "lr": 0.01, "steps": 500},
    Preset.run: {"seed": 0, "steps": None, "warm_up": False},
    lookup.attention: {"score_scale": 20.0},
    memory.holographic: {"seed": 0},
    memory.outer_product: {"seed": 0},
    train: {"save_seconds": 60.0, "bf16": False, "progress": False, "micro_batch": None},
}


@pytest.mark.parametrize("kind", FIELDS, ids=lambda kind: kind.__name__)
def test_defaults_of_a_configuration(kind):
    assert {f.name: f.default for f in fields(kind) if f.default is not MISSING} == FIELDS[kind]


def defaults(function) -> dict:
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


@pytest.mark.parametrize("name", MIXERS)
def test_defaults_of_a_mixer(name):
    assert defaults(MIXERS[name]) == OPTIONS[name]


@pytest.mark.parametrize("function", ARGUMENTS, ids=lambda f: f"{f.__module__}.{f.__name__}")
def test_defaults_of_what_draws_reads_or_counts(function):
    found = defaults(function)
    assert {name: found[name] for name in ARGUMENTS[function]} == ARGUMENTS[function]
