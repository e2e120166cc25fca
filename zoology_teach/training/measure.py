"""How well a model answers: its loss on a batch, its accuracy, its loss token by token."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from zoology_teach.checks import require, require_int
from zoology_teach.model import LanguageModel
from zoology_teach.tasks.examples import IGNORED, Examples
from zoology_teach.tasks.text import Blocks


def batch_loss(model: LanguageModel, inputs: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy in nats, averaged over the asked positions of inputs, labels (B, N).

    What the mixers add to it (`LanguageModel.auxiliary_loss`) included.
    """
    logits, targets = asked(model, Examples(inputs, labels))
    return cross_entropy(logits.flatten(0, 1), targets.flatten()) + model.auxiliary_loss()


def asked(model: torch.nn.Module, batch: Examples) -> tuple[Tensor, Tensor]:
    """Logits (B, P, V) where `batch` asks, computed nowhere else, and the answers (B, P).

    Raises ValueError where it asks nothing: no sequence, or no position with a label.
    """
    shape, asks = tuple(batch.inputs.shape), bool((batch.labels != IGNORED).any())
    require(asks, "labels", f"none asked, of shape {shape}", "such that something is asked")
    if batch.everywhere:
        return model(batch.inputs), batch.labels
    positions = batch.positions
    return model(batch.inputs, positions), batch.labels.gather(1, positions)


@torch.no_grad()
def accuracy(model: LanguageModel, examples: Examples, batch_size: int = 128) -> float:
    """The fraction of asked positions where the largest logit is the answer; in `eval` mode."""
    require_int("batch_size", batch_size, 1)
    require(len(examples) > 0, "examples", "empty", "at least one sequence")
    device, was_training = model.embedding.weight.device, model.training
    model.eval()
    correct = total = 0
    for start in range(0, len(examples), batch_size):
        logits, answers = asked(model, examples[start : start + batch_size].to(device))
        correct += int((logits.argmax(dim=-1) == answers).sum())
        total += answers.numel()
    model.train(was_training)
    return correct / total


@torch.no_grad()
def token_losses(
    model: LanguageModel, blocks: Blocks, rows: slice = slice(None), *, batch_size: int = 16
) -> NDArray[np.float32]:
    """(B, N) the loss in nats of each predicted token of `blocks[rows]`: float32, `eval` mode."""
    require_int("batch_size", batch_size, 1)
    device, was_training = model.embedding.weight.device, model.training
    model.eval()
    losses = [np.zeros((0, blocks.seq_len), np.float32)]
    chosen = torch.arange(len(blocks))[rows]
    for some in chosen.split(batch_size) if len(chosen) else ():
        batch = blocks.examples(some).to(device)
        logits = model(batch.inputs).float()
        each = cross_entropy(logits.transpose(1, 2), batch.labels, reduction="none")
        losses.append(each.cpu().numpy())
    model.train(was_training)
    return np.concatenate(losses)
