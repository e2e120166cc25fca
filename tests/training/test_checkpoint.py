"""A training that was killed goes on as if nothing had happened; a file is whole or refused."""

import os
import signal
import time
from dataclasses import replace

import pytest
import torch

from tests.training.toys import (
    CONFIG,
    CURRICULUM,
    EASY,
    TASK,
    elsewhere,
    small_model,
    toy_blocks,
    toy_model,
)
from zoology_teach.tasks.mqar import MQAR
from zoology_teach.training import Stage, TrainConfig, loop, train
from zoology_teach.training import checkpoint as checkpoints


class Killed(BaseException):
    """Stands for a process that is gone: only its checkpoint is left."""


def killed_after(update, monkeypatch, path, make, task, config):
    """Train until the checkpoint of this update is written."""
    with monkeypatch.context() as patch:

        def save(training, place, original=loop.Training.save):
            original(training, place)
            if len(training.history.records) == update:
                raise Killed

        patch.setattr(loop.Training, "save", save)
        with pytest.raises(Killed):
            train(make(), task, config, checkpoint=path, save_seconds=0)


def assert_same(one, other):
    for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b)


FIXED = TrainConfig(steps=9, batch_size=4, train_examples=10, eval_examples=9, eval_every=4)
KINDS = {
    "lessons": (toy_model, TASK, CURRICULUM),
    "fixed": (small_model, TASK, FIXED),
    "fresh": (small_model, TASK, replace(FIXED, train_examples=None)),
    "text after recall": (toy_model, toy_blocks(), replace(CURRICULUM, steps=9)),
    "text as a lesson": (toy_model, TASK, replace(FIXED, before=(Stage(toy_blocks(), 9, 4),))),
}


@pytest.mark.parametrize("kind", KINDS)
def test_killed_after_any_update_and_resumed_is_as_if_nothing_had_happened(
    tmp_path, monkeypatch, kind
):
    monkeypatch.setattr(loop, "MASTERED_OVER", 3)
    make, task, config = KINDS[kind]
    whole = make()
    history = train(whole, task, config)
    if kind == "lessons":
        assert [(e.steps, e.mastered) for e in history.ended] == [(5, False), (3, True), (6, False)]
    for update in range(1, len(history.records) + 1):
        path = tmp_path / f"{update}.pt"
        killed_after(update, monkeypatch, path, make, task, config)
        resumed = make()
        again = train(resumed, task, config, checkpoint=path, save_seconds=60)
        assert again.records == history.records and again.ended == history.ended
        assert_same(resumed, whole)


def test_kill_9_in_a_lesson(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    process = elsewhere("slowly", path)
    deadline = time.monotonic() + 90
    while not path.exists() or len(checkpoints.load(path)["records"]) < 6:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = len(checkpoints.load(path)["records"])
    monkeypatch.setattr(loop, "MASTERED_OVER", 3)
    whole, resumed = toy_model(), toy_model()
    history = train(whole, TASK, CURRICULUM)
    assert 6 <= done < len(history.records)
    again = train(resumed, TASK, CURRICULUM, checkpoint=path)
    assert again.records == history.records
    assert_same(resumed, whole)


def test_seconds_add_up_over_restarts(tmp_path):
    path, config = tmp_path / "run.pt", replace(CONFIG, steps=3)
    first = train(toy_model(), toy_blocks(), config, checkpoint=path, save_seconds=0)
    state = checkpoints.load(path)
    state["seconds"], state["cpu_seconds"] = 1000.0, 2000.0
    checkpoints.save(path, state)
    again = train(toy_model(), toy_blocks(), config, checkpoint=path)
    assert 1000 <= again.seconds < 1030 and 2000 <= again.cpu_seconds < 2030
    assert again.records == first.records, "a finished training is not done again"


def test_an_interrupt_keeps_the_checkpoint(tmp_path):
    path, calls = tmp_path / "run.pt", []

    def interrupted(model):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return {"calls": len(calls)}

    config = replace(CONFIG, eval_every=4)
    arguments = {"checkpoint": path, "save_seconds": 0, "measure": interrupted}
    stopped = train(toy_model(), toy_blocks(), config, **arguments)
    assert stopped.interrupted and len(stopped.records) == 11
    assert len(checkpoints.load(path)["records"]) == 11
    resumed = train(toy_model(), toy_blocks(), config, **arguments)
    assert not resumed.interrupted
    assert resumed.losses == train(toy_model(), toy_blocks(), CONFIG).losses
    assert [r.step for r in resumed.measured()] == [4, 8, 12, 16, 20]


def test_only_a_training_that_took_long_leaves_a_checkpoint(tmp_path):
    path, config = tmp_path / "run.pt", replace(CONFIG, steps=2)
    train(toy_model(), toy_blocks(), config, checkpoint=path, save_seconds=60)
    assert not path.exists()
    train(toy_model(), toy_blocks(), config, checkpoint=path, save_seconds=0)
    assert len(checkpoints.load(path)["records"]) == 2


@pytest.fixture
def made(tmp_path):
    """A checkpoint of two updates."""
    path = tmp_path / "run.pt"
    config = replace(CONFIG, steps=2)
    train(toy_model(), toy_blocks(), config, checkpoint=path, save_seconds=0)
    return path


@pytest.mark.parametrize("damage", ["torn", "altered", "text", "empty"])
def test_a_damaged_checkpoint_is_refused_in_one_line(made, damage):
    content = bytearray(made.read_bytes())
    content[len(content) // 2] ^= 0xFF
    kinds = {"torn": content[:-500], "altered": content, "text": b"once upon", "empty": b""}
    made.write_bytes(kinds[damage])
    with pytest.raises(ValueError, match=r"checkpoint = .*run\.pt.*: must be one that is whole"):
        train(toy_model(), toy_blocks(), replace(CONFIG, steps=2), checkpoint=made)


def test_a_checkpoint_cannot_carry_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "pwned"),)

    torch.save({"model": Evil()}, tmp_path / "run.pt")
    with pytest.raises(ValueError, match="checkpoint = "):
        checkpoints.load(tmp_path / "run.pt")
    assert not (tmp_path / "pwned").exists()


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    checkpoints.save(path, {"step": 1})

    def no_room(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(OSError, match=r"No space left on device: '.*run\.pt'"):
        checkpoints.save(path, {"step": 2})
    assert checkpoints.load(path) == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["run.pt"]


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "run.pt"
    checkpoints.save(path, {"step": 1})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match=r"run\.pt"):
            checkpoints.save(path, {"weights": torch.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert checkpoints.load(path) == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["run.pt"]


SHORT = replace(CONFIG, steps=2)
OTHER_END = toy_blocks()
OTHER_END.stream[-1] += 1


@pytest.mark.parametrize(
    ("model", "task", "config", "options"),
    [
        (toy_model("full"), toy_blocks(), SHORT, {}),
        (toy_model(), toy_blocks(29), SHORT, {}),
        (toy_model(), OTHER_END, SHORT, {}),
        (toy_model(), TASK, SHORT, {}),
        (toy_model(), toy_blocks(), replace(SHORT, lr=1e-3), {}),
        (toy_model(), toy_blocks(), replace(SHORT, before=(Stage(EASY, 1, 4),)), {}),
        (toy_model(), toy_blocks(), SHORT, {"bf16": True}),
    ],
)
def test_another_trainings_checkpoint_is_refused(made, model, task, config, options):
    before = made.read_bytes()
    with pytest.raises(ValueError, match=r"checkpoint = .*of the same model, task and budget"):
        train(model, task, config, checkpoint=made, **options)
    assert made.read_bytes() == before


def test_another_lesson_is_another_training(tmp_path):
    path = tmp_path / "run.pt"
    lessons = [Stage(EASY, 3, 4), Stage(EASY, 3, 4, lr=1e-3), Stage(MQAR(8, 2, 32), 3, 4)]
    for lesson in lessons:
        config = replace(CONFIG, steps=1, before=(lesson,))
        path.unlink(missing_ok=True)
        train(small_model(), TASK, config, checkpoint=path, save_seconds=0)
        for other in lessons:
            changed = replace(config, before=(other,))
            if other == lesson:
                train(small_model(), TASK, changed, checkpoint=path)
                continue
            with pytest.raises(ValueError, match="of the same model, task and budget"):
                train(small_model(), TASK, changed, checkpoint=path)
