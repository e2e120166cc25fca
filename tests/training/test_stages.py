"""Lessons end by updates or by a threshold, at a rate and with an optimiser of their own."""

import math
from dataclasses import replace

import pytest
import torch

from tests.training.toys import EASY, TASK, small_model, toy_blocks
from zoology_teach.tasks.mqar import MQAR
from zoology_teach.training import Stage, TrainConfig, loop, lr_factor, time_limit, train
from zoology_teach.training.stages import check_sizes


def rates(config, model=None):
    """The learning rate of every update."""
    seen, step = [], torch.optim.AdamW.step

    def note(self, *args, **kwargs):
        seen.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    torch.optim.AdamW.step = note
    try:
        history = train(model or small_model(), TASK, config)
    finally:
        torch.optim.AdamW.step = step
    return seen, history


def test_a_lesson_ends_after_its_updates():
    lessons = (Stage(EASY, 7, 4), Stage(EASY, 2, 4))
    history = train(small_model(), TASK, TrainConfig(steps=3, batch_size=4, before=lessons))
    assert [(e.steps, e.mastered) for e in history.ended] == [(7, False), (2, False), (3, False)]
    assert [r.stage for r in history.records] == [0] * 7 + [1] * 2 + [2] * 3
    assert [r.step for r in history.records] == list(range(1, 13))
    assert [r.step for r in history.measured()] == [12], "only the task itself is measured"
    assert {r.right for r in history.records} == {None}


def test_a_lesson_is_mastered_by_the_mean_training_accuracy_of_fifty_updates():
    lesson = Stage(EASY, 600, 32, until=0.8)
    config = TrainConfig(steps=1, batch_size=4, lr=1e-2, before=(lesson,), eval_examples=5)
    history = train(small_model(), TASK, config)
    (steps, mastered), _ = ((e.steps, e.mastered) for e in history.ended)
    right = [r.right for r in history.records[:steps]]
    assert mastered and 50 <= steps < 600 and history.records[steps].right is None
    means = [sum(right[i - 50 : i]) / 50 for i in range(50, steps + 1)]
    assert means[-1] >= 0.8 and all(mean < 0.8 for mean in means[:-1])


@pytest.mark.parametrize(("until", "ended"), [(0.001, (50, True)), (1.0, (60, False))])
def test_a_threshold_waits_for_fifty_updates_and_updates_are_a_limit(until, ended):
    lesson = Stage(EASY, 60, 8, until=until)
    config = TrainConfig(steps=1, batch_size=4, lr=1e-4, before=(lesson,), eval_examples=5)
    first = train(small_model(), TASK, config).ended[0]
    assert (first.steps, first.mastered) == ended


def test_updates_without_a_right_answer_do_not_count_as_right():
    lesson = Stage(MQAR(8, 1, 32), 60, 1, until=0.7)
    config = TrainConfig(steps=1, batch_size=4, lr=1e-9, before=(lesson,), eval_examples=5)
    history = train(small_model(), TASK, config)
    right = [r.right for r in history.records[:50]]
    assert right.count(0.0) > 35, "hardly trained"
    assert (history.ended[0].steps, history.ended[0].mastered) == (60, False)


def test_a_lesson_may_end_in_the_update_that_is_its_last():
    lesson = Stage(EASY, 50, 8, until=0.001)
    config = TrainConfig(steps=1, batch_size=4, before=(lesson,), eval_examples=5)
    first = train(small_model(), TASK, config).ended[0]
    assert (first.steps, first.mastered) == (50, True)


def test_the_rate_of_a_lesson_is_constant_after_its_ramp():
    lessons = (Stage(EASY, 6, 4, lr=4e-3, ramp=4), Stage(EASY, 2, 4))
    config = TrainConfig(steps=4, batch_size=4, lr=1e-2, warmup=0.5, before=lessons)
    seen, _ = rates(config)
    assert seen[:6] == pytest.approx([1e-3, 2e-3, 3e-3, 4e-3, 4e-3, 4e-3])
    assert seen[6:8] == [1e-2] * 2
    assert seen[8:] == pytest.approx([5e-3, 1e-2, 1e-2, 5e-3]), "the schedule begins anew"


def moments(fresh: bool) -> float:
    """How many updates AdamW remembers at the end of two stages of three and of two."""
    training = loop.Training(
        small_model(),
        TASK,
        TrainConfig(steps=2, batch_size=4, before=(Stage(EASY, 3, 4),), fresh_optimizer=fresh),
    )
    list(training.updates())
    return next(iter(training.optimizer.state.values()))["step"].item()


def test_a_stage_may_start_with_a_fresh_optimizer():
    assert (moments(False), moments(True)) == (5, 2)


def test_each_stage_draws_examples_of_its_own():
    class Noting:
        vocab_size = 32

        def __init__(self):
            self.seen = []

        def sample(self, num_examples, seed):
            drawn = TASK.sample(num_examples, seed)
            self.seen.append(drawn.inputs)
            return drawn

    task = Noting()
    lessons = (Stage(task, 2, 6), Stage(task, 2, 6))
    train(small_model(), task, TrainConfig(steps=2, batch_size=6, eval_examples=6, before=lessons))
    rows = torch.cat(task.seen)
    assert len(rows) == 6 * 7
    assert len(rows.unique(dim=0)) == len(rows), "nothing is drawn twice"


def test_text_may_be_a_lesson_and_is_read_in_another_order():
    class Noting(type(toy_blocks())):
        def examples(self, rows=slice(None)):
            seen.append(rows.tolist())
            return super().examples(rows)

    seen, blocks = [], Noting(**vars(toy_blocks()))
    config = TrainConfig(steps=2, batch_size=15, seed=7, before=(Stage(blocks, 2, 15),))
    history = train(small_model(), blocks, config)
    lesson, itself = seen[0] + seen[1], seen[2] + seen[3]
    assert sorted(lesson) == sorted(itself) == list(range(30)) and lesson != itself
    assert len(history.losses) == 4


def test_recall_before_text():
    config = TrainConfig(steps=3, batch_size=4, before=(Stage(EASY, 2, 4, until=0.9),))
    history = train(small_model(), toy_blocks(), config)
    assert [r.right is not None for r in history.records] == [True, True, False, False, False]
    plain = train(small_model(), toy_blocks(), replace(config, before=()))
    assert history.losses[2] != plain.losses[0]


def test_schedule_warms_up_and_comes_back_to_nothing():
    config = TrainConfig(steps=100, warmup=0.1)
    factors = [lr_factor(step, config) for step in range(101)]
    assert factors[0] == pytest.approx(0.1) and factors[9] == 1.0
    assert factors[55] == pytest.approx(0.5) and factors[100] == pytest.approx(0.0)
    assert lr_factor(0, TrainConfig(warmup=0.0)) == 1.0


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
        ({"seed": 2**31}, "seed = 2147483648: must be below 2**31"),
        ({"before": (TASK,)}, "before = (MQAR("),
    ],
)
def test_a_wrong_budget_names_the_field(fields, named):
    with pytest.raises(ValueError) as error:
        TrainConfig(**fields)
    assert named in str(error.value)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"steps": 0}, "steps = 0"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"ramp": -1}, "ramp = -1"),
        ({"until": 0.0}, "until = 0.0: must be an accuracy above 0, at most 1"),
        ({"until": 1.01}, "until = 1.01"),
        ({"lr": 0.0}, "lr = 0.0"),
        ({"rate": 1.0}, "field of Stage = 'rate'"),
    ],
)
def test_a_wrong_lesson_names_the_field(fields, named):
    with pytest.raises(ValueError) as error:
        Stage(**{"task": TASK, "steps": 1, "batch_size": 1, **fields})
    assert named in str(error.value)
    Stage(TASK, 1, 1, until=1.0, ramp=0)


@pytest.mark.parametrize("value", [90, 0, -0.1, float("nan"), True, "0.9"])
def test_an_accuracy_to_wait_for_is_a_fraction(value):
    allowed = "must be an accuracy above 0, at most 1"
    with pytest.raises(ValueError, match=f"stop_accuracy = .*: {allowed}"):
        TrainConfig(eval_every=1, stop_accuracy=value)
    with pytest.raises(ValueError, match=f"until = .*: {allowed}"):
        Stage(MQAR(8, 1, 256), 1, 1, until=value)


def test_an_accuracy_that_is_never_looked_at_is_refused():
    with pytest.raises(ValueError, match=r"stop_accuracy = 0\.9: must be None, or eval_every set"):
        TrainConfig(stop_accuracy=0.9)


def test_lessons_in_a_list_are_kept_in_a_tuple():
    config = TrainConfig(before=[Stage(EASY, 1, 2)])
    assert config == TrainConfig(before=(Stage(EASY, 1, 2),)) and isinstance(config.before, tuple)
    hash(config)


def test_the_moment_at_which_trainings_end_is_in_it(monkeypatch):
    monkeypatch.setattr(time_limit.time, "time", lambda: 1000.0)
    try:
        for moment, is_reached in (
            (999.0, True),
            (1000.0, True),
            (1000.5, False),
            (math.inf, False),
        ):
            time_limit.stop_at(moment)
            assert time_limit.is_reached() is is_reached
    finally:
        time_limit.stop_at(math.inf)


def test_each_process_has_the_same_share_of_a_batch():
    def check(batch_size, micro_batch):
        stages = [Stage(TASK, 1, batch_size)]
        check_sizes(stages, TrainConfig(), 32, 2, micro_batch, measured=False)

    check(4, None)
    check(4, 2)
    with pytest.raises(ValueError, match="batch_size = 3: must be a multiple of 2, the number of"):
        check(3, None)
    with pytest.raises(ValueError, match="micro_batch = 4: must be a divisor of 2"):
        check(4, 4)
