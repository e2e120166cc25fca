"""Wrong solutions of chapter 00 that a student might hand in."""

import torch


def counts_zero_as_silence(labels):
    return (labels > 0).sum(dim=1)


def counts_every_position(labels):
    return torch.full((len(labels),), labels.shape[1])


def adds_up_labels(labels):
    return labels.clamp(min=0).sum(dim=1)


def counts_the_batch(labels):
    return (labels != -100).sum()


def over_all_positions(logits, labels):
    return (logits.argmax(dim=-1) == labels).float().mean().item()


def mean_of_rows(logits, labels):
    asked = labels != -100
    right = (logits.argmax(dim=-1) == labels) & asked
    return (right.sum(dim=1) / asked.sum(dim=1).clamp(min=1)).mean().item()


def nan_without_questions(logits, labels):
    asked = labels != -100
    return (logits.argmax(dim=-1) == labels)[asked].float().mean().item()


def zero_is_no_token(logits, labels):
    asked = labels > 0
    return (logits.argmax(dim=-1) == labels)[asked].float().mean().item() if asked.any() else 0.0


def largest_size(logits, labels):
    asked = labels != -100
    guess = logits.abs().argmax(dim=-1)
    return (guess == labels)[asked].float().mean().item() if asked.any() else 0.0


def share_of_errors(logits, labels):
    asked = labels != -100
    return (logits.argmax(dim=-1) != labels)[asked].float().mean().item() if asked.any() else 0.0


def _take(values, scores):
    return values.gather(1, scores.argmax(dim=1, keepdim=True))[:, 0]


def dot_product(query, keys, values):
    return _take(values, (keys @ query[:, :, None])[:, :, 0])


def without_sign(query, keys, values):
    unit = keys / keys.norm(dim=-1, keepdim=True)
    return _take(values, (unit @ query[:, :, None])[:, :, 0].abs())


def nearest_point(query, keys, values):
    return _take(values, -(keys - query[:, None]).norm(dim=-1))


def least_alike(query, keys, values):
    unit = keys / keys.norm(dim=-1, keepdim=True)
    return _take(values, -(unit @ query[:, :, None])[:, :, 0])


def place_of_the_key(query, keys, values):
    unit = keys / keys.norm(dim=-1, keepdim=True)
    return (unit @ query[:, :, None])[:, :, 0].argmax(dim=1)


MUTANTS = [
    ("00.a", "token 0", counts_zero_as_silence),
    ("00.a", "nothing asked", counts_every_position),
    ("00.a", "everything asked", adds_up_labels),
    ("00.a", "shape", counts_the_batch),
    ("00.b", "only what is asked", over_all_positions),
    ("00.b", "every question alike", mean_of_rows),
    ("00.b", "edges", nan_without_questions),
    ("00.b", "token 0", zero_is_no_token),
    ("00.b", "largest score", largest_size),
    ("00.b", "all right", share_of_errors),
    ("00.c", "long keys", dot_product),
    ("00.c", "opposite", without_sign),
    ("00.c", "direction", nearest_point),
    ("00.c", "equal key", least_alike),
    ("00.c", "one pair", place_of_the_key),
]
