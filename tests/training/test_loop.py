"""The one loop: what is promised in seconds, how it ends, what is refused."""

import math
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.toys import CONFIG, TASK, small_model, toy_blocks, toy_model
from zoology_teach.experiments.synthetic_presets import laptop_run
from zoology_teach.model import LanguageModel
from zoology_teach.tasks.mqar import MQAR
from zoology_teach.training import (
    Diverged,
    Stage,
    TrainConfig,
    loop,
    processes,
    time_limit,
    train,
    training,
)


def test_attention_learns_mqar_in_fifteen_cpu_seconds():
    run = laptop_run("attention", 64, 64, seed=0, steps=300)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    train(LanguageModel(run.model), run.task, replace(run.train, steps=1))  # what a first one loads
    started = time.process_time()
    history = train(LanguageModel(run.model), run.task, run.train)
    seconds = time.process_time() - started
    torch.set_num_threads(threads)
    assert (run.task.num_pairs, run.task.vocab_size, run.model.d_model) == (8, 256, 64)
    assert history.accuracy >= 0.99
    assert seconds <= 15
    assert history.cpu_seconds == pytest.approx(seconds, rel=0.2)


def test_training_is_repeatable_and_its_parts_have_their_own_seeds():
    config = TrainConfig(steps=20, lr=3e-3, eval_every=10)
    first, again = (train(small_model(), TASK, config) for _ in range(2))
    assert [r.loss for r in first.records] == [r.loss for r in again.records]
    assert [r.step for r in first.measured()] == [10, 20]
    other_data = train(small_model(), TASK, TrainConfig(steps=20, lr=3e-3, seed=1))
    other_weights = train(small_model(1), TASK, config)
    assert len({first.loss, other_data.loss, other_weights.loss}) == 3


def test_stop_accuracy_ends_early():
    config = TrainConfig(steps=400, lr=1e-2, eval_every=20, stop_accuracy=0.9, eval_examples=200)
    history = train(small_model(), TASK, config)
    assert history.accuracy >= 0.9 and len(history.records) < 400


def test_an_interrupt_keeps_what_was_done():
    class Interrupting:
        vocab_size = 32
        drawn = 0

        def sample(self, num_examples, seed):
            self.drawn += 1
            if self.drawn == 6:  # the held-out set, then five batches
                raise KeyboardInterrupt
            return TASK.sample(num_examples, seed)

    history = train(small_model(), Interrupting(), TrainConfig(steps=50))
    assert history.interrupted and len(history.records) == 4
    assert math.isnan(history.accuracy)


def test_a_diverging_run_says_so():
    model = small_model()
    model.embedding.weight.data[:] = math.inf
    with pytest.raises(ValueError, match=r"lr = 0\.01: the loss is nan at step 1"):
        next(training(model, TASK, TrainConfig()))


def test_model_and_task_must_agree_on_the_vocabulary():
    with pytest.raises(ValueError, match=r"task\.vocab_size = 256"):
        train(small_model(), MQAR(), TrainConfig())


def test_a_lost_loss_leaves_the_history_before_it():
    class Poisoned:
        vocab_size, drawn = 32, 0

        def sample(self, num_examples, seed):
            self.drawn += 1
            if self.drawn == 4:  # the unseen ones, then two batches
                model.embedding.weight.data[:] = math.inf
            return TASK.sample(num_examples, seed)

    model = small_model()
    with pytest.raises(Diverged, match=r"the loss is nan at step 3") as error:
        train(model, Poisoned(), TrainConfig(steps=9))
    assert len(error.value.history.records) == 2
    assert error.value.history.seconds > 0 and math.isnan(error.value.history.accuracy)


@pytest.mark.parametrize("task", [TASK, toy_blocks()])
def test_gradients_add_up_to_those_of_a_larger_batch(task):
    whole, parts = (train(toy_model("full"), task, CONFIG, micro_batch=m).losses for m in (4, 1))
    assert np.abs(np.array(whole) - parts).max() <= 1e-5


@pytest.mark.parametrize("task", [TASK, toy_blocks()])
def test_bf16_is_near_float32(task):
    exact, rough = (train(toy_model("full"), task, CONFIG, bf16=bf16) for bf16 in (False, True))
    assert exact.losses != rough.losses
    assert np.abs(np.array(exact.losses) - rough.losses).max() < 0.1
    weights = toy_model("full")
    train(weights, task, CONFIG, bf16=True)
    assert {p.dtype for p in weights.parameters()} == {torch.float32}


def test_what_is_measured_is_kept_with_its_update():
    config = replace(CONFIG, steps=10, eval_every=4)
    history = train(toy_model("full"), toy_blocks(), config, measure=lambda m: {"x": 1})
    assert [(r.step, r.measured) for r in history.measured()] == [
        (4, {"x": 1.0}), (8, {"x": 1.0}), (10, {"x": 1.0}),
    ]  # fmt: skip
    assert train(toy_model("full"), toy_blocks(), replace(CONFIG, steps=10)).measured() == []
    with pytest.raises(ValueError, match="eval_every = 4: must be None: blocks of text have no"):
        train(toy_model("full"), toy_blocks(), config)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"micro_batch": 3}, "micro_batch = 3: must be a divisor of 4"),
        ({"micro_batch": 0}, "micro_batch = 0"),
        ({"task": toy_blocks(0)}, "must be at least one block"),
        ({"task": toy_blocks(vocab_size=64)}, "task.vocab_size = 64: must be <= 32"),
        ({"config": replace(CONFIG, train_examples=8)}, "train_examples = 8"),
        ({"config": replace(CONFIG, eval_every=1, stop_accuracy=0.9)}, "stop_accuracy = 0.9"),
    ],
)
def test_wrong_use_is_named(change, named):
    arguments = {"task": toy_blocks(), "config": CONFIG} | change
    with pytest.raises(ValueError) as error:
        train(toy_model("full"), **arguments)
    assert named in str(error.value)


def test_a_progress_bar_says_how_far_it_is_and_the_loss(capsys):
    config = TrainConfig(steps=4, batch_size=4, eval_examples=5, before=(Stage(TASK, 2, 4),))
    train(small_model(), TASK, config)
    assert capsys.readouterr().err == ""
    train(small_model(), TASK, config, progress="one of two")
    said = capsys.readouterr().err
    assert "one of two: 100%" in said and "6/6" in said and "loss=" in said
    train(small_model(), TASK, config, progress=True)
    assert "6/6" in capsys.readouterr().err


class Ticking:
    """A task whose every batch takes ten seconds."""

    vocab_size, now = 32, 1000.0

    def sample(self, num_examples, seed):
        self.now += 10
        return TASK.sample(num_examples, seed)


@pytest.mark.parametrize(
    ("seconds", "written"), [(25, [3, 6, 6]), (30, [3, 6, 6]), (60, [6, 6]), (61, [])]
)
def test_a_checkpoint_is_written_every_so_often_and_at_the_end(
    monkeypatch, tmp_path, seconds, written
):
    task, after = Ticking(), []
    monkeypatch.setattr(loop.time, "perf_counter", lambda: task.now)
    monkeypatch.setattr(
        loop.Training, "save", lambda self, path: after.append(len(self.history.records))
    )
    config = TrainConfig(steps=6, batch_size=4, eval_examples=5)
    history = train(small_model(), task, config, checkpoint=tmp_path / "c", save_seconds=seconds)
    assert after == written and history.seconds == 60
    train(small_model(), task, config, save_seconds=0)
    assert after == written, "nowhere, where no file is named"


def test_a_gradient_is_cut_to_its_largest_norm():
    """AdamW divides by a gradient's size, but not where that is far below its 1e-8."""

    def moved(clip: float) -> float:
        model, start = small_model(), small_model()
        config = TrainConfig(steps=3, batch_size=4, weight_decay=0.0, clip=clip, eval_examples=5)
        train(model, TASK, config)
        pairs = zip(model.parameters(), start.parameters(), strict=True)
        return max((a - b).abs().max().item() for a, b in pairs)

    assert moved(1e-13) < 1e-6 < 1e-3 < moved(1.0)


@pytest.fixture
def two_processes(monkeypatch):
    """As the second of two that torchrun starts sees itself."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")


def joined(device="cpu"):
    with processes.process_group(torch.device(device)) as found:
        return found


def test_alone_a_process_is_the_first_of_one(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert joined() == processes.rank_and_size() == (0, 1)
    values = torch.tensor([1.0, 3.0])
    assert processes.mean_over_processes(values) is values
    assert processes.from_the_first("said") == "said"


def test_there_is_a_gpu_for_each_process(two_processes, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match="nproc-per-node = 2: must be at most 1, the GPUs there"):
        joined("cuda")


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (RuntimeError("[gloo]\nno peer"), OSError, "not all of the 2 processes of this run are"),
        (torch.distributed.DistError("timed out"), OSError, "there: timed out"),
        (RuntimeError("a bug"), RuntimeError, "^a bug$"),
    ],
)
def test_processes_that_do_not_come_are_one_error(two_processes, monkeypatch, error, kind, said):
    def nobody(address, timeout):
        assert (address, timeout.total_seconds()) == ("env://", 300)
        raise error

    monkeypatch.setattr(processes.dist, "rendezvous", nobody)
    with pytest.raises(kind, match=said):
        joined()


def test_of_three_processes_numbers_are_averaged_and_the_first_is_heard(monkeypatch):
    def three_alike(values):
        values *= 3

    def hear(sent, source, device):
        assert (source, device.type) == (0, "cpu")
        sent[0] = "said by the first"

    monkeypatch.setattr(processes.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(processes.dist, "get_rank", lambda: 2)
    monkeypatch.setattr(processes.dist, "get_world_size", lambda: 3)
    monkeypatch.setattr(processes.dist, "all_reduce", three_alike)
    monkeypatch.setattr(processes.dist, "broadcast_object_list", hear)
    assert processes.rank_and_size() == (2, 3)
    assert processes.mean_over_processes(torch.tensor([1.0, 4.0])).tolist() == [1, 4]
    assert processes.from_the_first("said by another") == "said by the first"


def test_at_the_limit_a_training_does_one_update_more_and_keeps_it(tmp_path):
    config = TrainConfig(steps=5, batch_size=4, eval_examples=5)
    time_limit.stop_at(0)
    try:
        history = train(small_model(), TASK, config, checkpoint=tmp_path / "c")
    finally:
        time_limit.stop_at(math.inf)
    assert history.interrupted and len(history.records) == 1 and (tmp_path / "c").exists()
    again = train(small_model(), TASK, config, checkpoint=tmp_path / "c")
    assert len(again.records) == 5 and not again.interrupted
