"""Batches follow from seed and number: every epoch sees all, in an order of its own."""

import torch

from tests.training.toys import TASK, small_model, toy_blocks
from zoology_teach.training import TrainConfig, train
from zoology_teach.training.batches import batch_rows, batches, stage_seed


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


def test_every_epoch_sees_each_block_once_in_a_new_order():
    seed = stage_seed(toy_blocks(), 3)
    seen = torch.cat([batch_rows(30, 4, seed, step) for step in range(15)])
    first, second = seen[:30].tolist(), seen[30:].tolist()
    assert sorted(first) == sorted(second) == list(range(30))
    assert first != second
    other = stage_seed(toy_blocks(), 4)
    assert batch_rows(30, 30, seed, 0).tolist() != batch_rows(30, 30, other, 0).tolist()
    lesson = stage_seed(toy_blocks(), 3, lesson=1)
    assert batch_rows(30, 30, lesson, 0).tolist() not in (first, second)


def test_a_batch_may_be_larger_than_an_epoch():
    rows = batch_rows(3, 7, stage_seed(toy_blocks(), 0), 0).tolist()
    assert len(rows) == 7 and sorted(rows[:3]) == sorted(rows[3:6]) == [0, 1, 2]


def test_batches_go_on_from_any_number():
    for task, options in ((TASK, {}), (TASK, {"examples": 10}), (toy_blocks(), {})):
        seed = stage_seed(task, 5)
        whole = batches(task, 4, seed, **options)
        expected = [next(whole).inputs for _ in range(9)]
        for first in (1, 4, 8):
            assert torch.equal(
                next(batches(task, 4, seed, first=first, **options)).inputs, expected[first]
            )


def test_no_two_stages_draw_the_same():
    def drawn(seed):
        return TASK.sample(8, seed).inputs.flatten().tolist()

    seeds = [(seed, lesson) for seed in (0, 1, 2**31 - 1) for lesson in (0, 1, 2)]
    batches = [drawn(stage_seed(TASK, *one)) for one in seeds]
    unseen = [drawn(2 * seed + 1) for seed, lesson in seeds if lesson == 0]
    assert len({tuple(x) for x in batches + unseen}) == 12


def test_the_seed_of_the_task_itself_is_twice_that_of_the_training():
    assert stage_seed(TASK, 3) == stage_seed(TASK, 3, lesson=0) == 6
    assert stage_seed(toy_blocks(), 3) == 3_000_009
    lessons = {stage_seed(task, 3, lesson) for task in (TASK, toy_blocks()) for lesson in (1, 2)}
    assert len(lessons) == 2 and 6 not in lessons, "of the lesson, whatever its task"
