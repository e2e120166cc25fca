"""Seconds are counted on over restarts; the unseen examples have a seed of their own."""

import time

import pytest

from tests.training.toys import TASK, small_model
from zoology_teach.training import TrainConfig, loop
from zoology_teach.training.history import Clock, History


def test_a_clock_goes_on_from_what_the_history_has(monkeypatch):
    now = {"wall": 50.0, "cpu": 7.0}
    monkeypatch.setattr(time, "perf_counter", lambda: now["wall"])
    monkeypatch.setattr(time, "process_time", lambda: now["cpu"])
    history = History(seconds=10.0, cpu_seconds=4.0)
    clock = Clock(history)
    now.update(wall=52.5, cpu=8.5)
    clock.note()
    assert (history.seconds, history.cpu_seconds) == pytest.approx((12.5, 5.5))


def test_unseen_examples_have_the_odd_seed():
    class Noting:
        vocab_size = 32

        def sample(self, num_examples, seed):
            seeds.append((num_examples, seed))
            return TASK.sample(num_examples, seed)

    for seed in (0, 3):
        seeds: list = []
        loop.Training(small_model(), Noting(), TrainConfig(seed=seed, eval_examples=7))
        assert seeds == [(7, 2 * seed + 1)]
