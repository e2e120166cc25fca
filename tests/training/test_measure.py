"""What is measured: the loss and the accuracy where something is asked, the loss of each token."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from tests.training.toys import TASK, small_model, toy_blocks, toy_model
from zoology_teach.tasks.examples import IGNORED
from zoology_teach.training import accuracy, batch_loss, token_losses


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


def test_measuring_leaves_the_model_in_its_mode():
    model, batch = small_model(), TASK.sample(4)
    for mode in (True, False):
        model.train(mode)
        accuracy(model, batch)
        token_losses(model, toy_blocks(2))
        assert model.training is mode


def test_token_losses_are_those_of_the_whole():
    model, blocks = toy_model(), toy_blocks()
    some = token_losses(model, blocks, slice(1, None, 3), batch_size=4)
    assert model.training
    model.eval()
    batch = blocks.examples(slice(1, None, 3))
    logits = model(batch.inputs)
    expected = cross_entropy(logits.transpose(1, 2), batch.labels, reduction="none")
    assert some.shape == (10, 16) and some.dtype == np.float32
    assert some == pytest.approx(expected.detach().numpy(), abs=1e-5)


def test_of_nothing_there_is_an_empty_result_or_one_error():
    model, batch = small_model(), TASK.sample(4)
    nothing = torch.full_like(batch.labels, IGNORED)
    assert token_losses(model, toy_blocks(), slice(0, 0)).shape == (0, 16)
    assert token_losses(model, toy_blocks(0)).shape == (0, 16)
    with pytest.raises(ValueError, match="examples = 'empty': must be at least one sequence"):
        accuracy(model, batch[:0])
    for inputs, labels in ((batch.inputs[:0], batch.labels[:0]), (batch.inputs, nothing)):
        with pytest.raises(ValueError, match=r"labels = .*must be such that something is asked"):
            batch_loss(model, inputs, labels)
