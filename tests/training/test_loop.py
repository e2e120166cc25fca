"""Training: what is promised in seconds, what the budget decides, what is refused."""

import math
import time

import pytest
import torch
from torch.nn.functional import cross_entropy

from zoology_teach.experiments.synthetic_presets import laptop_run
from zoology_teach.model import LanguageModel, ModelConfig, layer
from zoology_teach.tasks.examples import IGNORED
from zoology_teach.tasks.mqar import MQAR
from zoology_teach.training import TrainConfig, accuracy, batch_loss, lr_factor, train, training

TASK = MQAR(16, 2, 32)


def small_model(seed: int = 0) -> LanguageModel:
    layers = (layer("base_conv", init="pair"), layer("attention", init="identity"))
    return LanguageModel(ModelConfig(32, 16, layers, seed=seed))


def test_attention_learns_mqar_in_fifteen_cpu_seconds():
    run = laptop_run("attention", 64, 64, seed=0, steps=300)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    started = time.process_time()
    history = train(LanguageModel(run.model), run.task, run.train)
    seconds = time.process_time() - started
    torch.set_num_threads(threads)
    assert (run.task.num_pairs, run.task.vocab_size, run.model.d_model) == (8, 256, 64)
    assert history.accuracy >= 0.99
    assert seconds <= 15
    assert history.cpu_seconds == pytest.approx(seconds, rel=0.2)


def test_loss_at_the_asked_positions_is_the_usual_loss():
    model, batch = small_model(), TASK.sample(8)
    usual = cross_entropy(model(batch.inputs).transpose(1, 2), batch.labels, ignore_index=IGNORED)
    assert batch_loss(model, batch.inputs, batch.labels).item() == pytest.approx(usual.item())


def test_accuracy_counts_asked_positions_only():
    model, batch = small_model(), TASK.sample(50)
    guesses = model(batch.inputs).argmax(-1)
    asked = batch.labels != IGNORED
    expected = (guesses == batch.labels)[asked].double().mean().item()
    assert accuracy(model, batch, batch_size=7) == pytest.approx(expected)


def test_training_is_repeatable_and_its_parts_have_their_own_seeds():
    config = TrainConfig(steps=20, lr=3e-3, eval_every=10)
    first, again = (train(small_model(), TASK, config) for _ in range(2))
    assert [r.loss for r in first.records] == [r.loss for r in again.records]
    assert [r.step for r in first.measured()] == [10, 20]
    other_data = train(small_model(), TASK, TrainConfig(steps=20, lr=3e-3, seed=1))
    other_weights = train(small_model(1), TASK, config)
    assert len({first.loss, other_data.loss, other_weights.loss}) == 3


def test_schedule_warms_up_and_comes_back_to_nothing():
    config = TrainConfig(steps=100, warmup=0.1)
    factors = [lr_factor(step, config) for step in range(101)]
    assert factors[0] == pytest.approx(0.1) and factors[9] == 1.0
    assert factors[55] == pytest.approx(0.5) and factors[100] == pytest.approx(0.0)
    assert lr_factor(0, TrainConfig(warmup=0.0)) == 1.0


def test_a_fixed_set_is_used_up_before_it_repeats():
    class Counting:
        vocab_size = 32

        def sample(self, num_examples, seed):
            batch = TASK.sample(num_examples, seed)
            if num_examples == 12:
                self.fixed = batch.inputs
            return batch

    task, seen, model = Counting(), [], small_model()
    model.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    train(model, task, TrainConfig(steps=6, batch_size=4, train_examples=12, eval_examples=5))
    batches = [s for s in seen if len(s) == 4]
    for epoch in (batches[:3], batches[3:6]):
        assert sorted(torch.cat(epoch).tolist()) == sorted(task.fixed.tolist())


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


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"steps": 0}, "steps = 0"),
        ({"lr": 0.0}, "lr = 0.0"),
        ({"lr": "1e-3"}, "lr = '1e-3'"),
        ({"warmup": 1.0}, "warmup = 1.0"),
        ({"batch_size": True}, "batch_size = True"),
        ({"train_examples": 16}, "train_examples = 16"),
        ({"eval_every": 0}, "eval_every = 0"),
    ],
)
def test_a_wrong_budget_names_the_field(fields, named):
    with pytest.raises(ValueError) as error:
        TrainConfig(**fields)
    assert named in str(error.value)


def test_model_and_task_must_agree_on_the_vocabulary():
    with pytest.raises(ValueError, match=r"task\.vocab_size = 256"):
        train(small_model(), MQAR(), TrainConfig())
