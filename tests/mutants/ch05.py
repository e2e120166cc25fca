"""Plausible wrong solutions of chapter 05, and the rung that must catch each."""

import math

import torch
from torch import logsumexp


def loss_parts(logits, labels):
    asked = labels != -100
    rows, right = logits[asked], labels[asked]
    return logsumexp(rows, dim=-1) - rows.gather(1, right[:, None])[:, 0]


def loss_of_probabilities(logits, labels):
    asked = labels != -100
    chosen = logits[asked].softmax(dim=-1).gather(1, labels[asked][:, None])
    return (1 - chosen).mean()


def loss_summed(logits, labels):
    return loss_parts(logits, labels).sum()


def loss_over_all_positions(logits, labels):
    return loss_parts(logits, labels).sum() / labels.numel()


def loss_with_unasked_as_token_zero(logits, labels):
    right = labels.clamp(min=0)
    return (logsumexp(logits, dim=-1) - logits.gather(2, right[..., None])[..., 0]).mean()


def loss_row_by_row(logits, labels):
    rows = [loss_parts(z[None], y[None]).mean() for z, y in zip(logits, labels, strict=True)]
    return torch.stack(rows).nanmean()


def loss_that_overflows(logits, labels):
    asked = labels != -100
    rows, right = logits[asked], labels[asked]
    return (rows.exp().sum(-1).log() - rows.gather(1, right[:, None])[:, 0]).mean()


def parts(steps, warmup, peak, floor, progress):
    s = torch.arange(steps)
    fall = floor + (peak - floor) / 2 * (1 + torch.cos(math.pi * progress))
    return s, peak * (s + 1) / max(1, warmup), fall


def schedule_from_zero(steps, warmup, peak, floor):
    progress = (torch.arange(steps) - warmup) / max(1, steps - warmup)
    s, climb, fall = parts(steps, warmup, peak, floor, progress)
    return torch.where(s < warmup, climb - peak / max(1, warmup), fall)


def schedule_falls_on_a_line(steps, warmup, peak, floor):
    s = torch.arange(steps)
    line = floor + (peak - floor) * (1 - (s - warmup) / max(1, steps - warmup))
    return torch.where(s < warmup, peak * (s + 1) / max(1, warmup), line)


def schedule_cut_at_the_floor(steps, warmup, peak, floor):
    progress = (torch.arange(steps) - warmup) / max(1, steps - warmup)
    s, climb, fall = parts(steps, warmup, peak, 0.0, progress)
    return torch.where(s < warmup, climb, fall.clamp(min=floor))


def schedule_forgets_the_climb(steps, warmup, peak, floor):
    s, climb, fall = parts(steps, warmup, peak, floor, torch.arange(steps) / steps)
    return torch.where(s < warmup, climb, fall)


def schedule_divides_by_zero(steps, warmup, peak, floor):
    progress = (torch.arange(steps) - warmup) / (torch.tensor(steps) - warmup)
    s, climb, fall = parts(steps, warmup, peak, floor, progress)
    return climb * (s < warmup) + fall * (s >= warmup)


def masks(logits, labels):
    guess = logits.argmax(-1)
    asked = labels != -100
    same = guess[:, :, None] == labels[:, None, :]
    return guess == labels, same.any(-1), asked


def shares(right, listed, asked):
    kinds = torch.stack([right, listed & ~right, ~listed & ~right])
    return kinds[:, asked].float().mean(dim=1)


def kinds_that_overlap(logits, labels):
    right, listed, asked = masks(logits, labels)
    return torch.stack([right, listed, ~listed])[:, asked].float().mean(dim=1)


def kinds_swapped(logits, labels):
    return shares(*masks(logits, labels))[[0, 2, 1]]


def kinds_of_the_whole_batch(logits, labels):
    right, _, asked = masks(logits, labels)
    listed = torch.isin(logits.argmax(-1), labels[asked])
    return shares(right, listed, asked)


def kinds_of_every_position(logits, labels):
    right, listed, asked = masks(logits, labels)
    return shares(right, listed, torch.ones_like(asked))


def kinds_row_by_row(logits, labels):
    right, listed, asked = masks(logits, labels)
    rows = [shares(*(x[i : i + 1] for x in (right, listed, asked))) for i in range(len(labels))]
    return torch.stack(rows).nanmean(dim=0)


MUTANTS = [
    ("05.a", "a single question", loss_of_probabilities),
    ("05.a", "equal logits", loss_summed),
    ("05.a", "the unasked do not count", loss_with_unasked_as_token_zero),
    ("05.a", "an average over the questions", loss_over_all_positions),
    ("05.a", "rows that ask unequally", loss_row_by_row),
    ("05.a", "large logits", loss_that_overflows),
    ("05.b", "the climb", schedule_from_zero),
    ("05.b", "the fall", schedule_falls_on_a_line),
    ("05.b", "the floor", schedule_cut_at_the_floor),
    ("05.b", "first climb, then fall", schedule_forgets_the_climb),
    ("05.b", "nothing but climb", schedule_divides_by_zero),
    ("05.c", "three shares", kinds_that_overlap),
    ("05.c", "listed but wrong", kinds_swapped),
    ("05.c", "listed elsewhere", kinds_of_the_whole_batch),
    ("05.c", "the unasked do not count", kinds_of_every_position),
    ("05.c", "rows that ask unequally", kinds_row_by_row),
]
