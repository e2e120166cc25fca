"""Small models and tasks that the tests of training share, and how to start other processes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from zoology_teach.model import LanguageModel, ModelConfig, layer
from zoology_teach.tasks.mqar import MQAR
from zoology_teach.tasks.text import Blocks
from zoology_teach.training import Stage, TrainConfig

TASK = MQAR(16, 2, 32)
EASY = MQAR(8, 1, 32)
CONFIG = TrainConfig(steps=20, batch_size=4, lr=1e-2, seed=3)
CURRICULUM = TrainConfig(
    steps=6,
    batch_size=8,
    lr=1e-2,
    seed=5,
    eval_examples=20,
    before=(
        Stage(EASY, 5, 4, lr=5e-3, ramp=3),
        Stage(EASY, 50, 8, until=0.001, fresh_optimizer=True),
    ),
)
ROOT = Path(__file__).parents[2]


def small_model(seed: int = 0) -> LanguageModel:
    layers = (layer("base_conv", init="pair"), layer("attention", init="identity"))
    return LanguageModel(ModelConfig(32, 16, layers, seed=seed))


def toy_blocks(num_blocks: int = 30, seq_len: int = 16, vocab_size: int = 32) -> Blocks:
    """Noisy counting, in two documents: something to learn."""
    m = num_blocks * seq_len + 1
    steps = np.random.default_rng(0).choice([1, 1, 1, 5], m)
    stream = (steps.cumsum() % vocab_size).astype(np.uint16)
    document = (np.arange(m) > m // 2).astype(np.int32)
    return Blocks(stream, document, ["a", "b"], seq_len, vocab_size)


def toy_model(selection: str = "learned") -> LanguageModel:
    """With a router, which has a state and noise of its own."""
    options = {"k": 4, "soft_steps": 5} if selection == "learned" else {}
    router = layer("sparse_attention", selection=selection, **options)
    return LanguageModel(ModelConfig(32, 16, (layer("base_conv"), router), mlp=24, seed=1))


def elsewhere(*words: object, processes: int = 1, **environment: object) -> subprocess.Popen:
    """`elsewhere.py` with these words in another process, or in several under torchrun."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, *(torchrun if processes > 1 else [])]
    command += [str(Path(__file__).with_name("elsewhere.py")), *map(str, words)]
    own = {key: str(value) for key, value in environment.items()}
    return subprocess.Popen(
        command,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
