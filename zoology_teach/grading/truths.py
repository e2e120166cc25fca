"""Answers found the slow way, one by one: what several ladders compare with."""

import math

import torch
from torch import Tensor


def convolution_by_matrices(u: Tensor, h: Tensor, dilation: int = 1) -> Tensor:
    """The convolution as a banded matrix a channel, filled entry by entry, in float64."""
    n, (d, taps) = u.shape[1], h.shape
    matrices = torch.zeros(d, n, n, dtype=torch.float64)
    for t in range(n):
        for tap in range(taps):
            if tap * dilation <= t:
                matrices[:, t, t - tap * dilation] = h[:, tap]
    return torch.einsum("dts,bsd->btd", matrices, u.double()).float()


def attention_by_loops(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """One sequence, (N, d), (N, d), (N, e) -> (N, e); looking at nothing has exp(0) = 1."""
    y = torch.zeros_like(v)
    for t in range(len(q)):
        loud = [math.exp(scale * sum((q[t] * k[s]).tolist())) for s in range(t + 1)]
        for s in range(t + 1):
            y[t] += loud[s] / (1 + sum(loud)) * v[s]
    return y


def induction_by_loops(tokens: Tensor, codes: Tensor, scale: float) -> Tensor:
    """One sequence (N,) -> (N, N), straight from the words of the exercise."""
    half, c = codes.shape
    found, flags = [], []
    for s, token in enumerate(tokens.tolist()):
        owner = token
        if token >= half:
            owner = tokens[s - 1].item() if s > 0 else 0
        found.append(codes[owner].tolist() if 0 < owner < half else [0.0] * c)
        flags.append(1.0 if token >= half else 0.0)
    weights = torch.zeros(len(tokens), len(tokens))
    for t in range(len(tokens)):
        fits = [
            scale / 2 * (sum(a * b for a, b in zip(found[t], found[s], strict=True)) + c * flags[s])
            for s in range(t + 1)
        ]
        loud = [math.exp(fit - max(fits)) for fit in fits]
        weights[t, : t + 1] = torch.tensor(loud) / sum(loud)
    return weights


def base_conv_one_by_one(
    u: Tensor, weight: Tensor, b1: Tensor, h: Tensor, b2: Tensor, write: Tensor
) -> Tensor:
    """BaseConv with a skip and a gate that writes, one position at a time."""
    n, taps = u.shape[1], h.shape[1]
    shares = [1 / (1 + torch.exp(-(u[:, t] @ write))) for t in range(n)]
    rows = []
    for t in range(n):
        lags = range(min(taps, t + 1))
        past = sum(h[:, lag] * shares[t - lag][:, None] * u[:, t - lag] for lag in lags)
        gate = torch.einsum("bi,io->bo", u[:, t], weight) + b1
        rows.append(u[:, t] + gate * (past + b2))
    return torch.stack(rows, dim=1)


def recall_by_dictionary(codes: Tensor, numbers: Tensor) -> Tensor:
    """The truth with a Python dictionary and a loop over time."""
    answers = torch.zeros_like(numbers)
    for row in range(len(codes)):
        book: dict[int, float] = {}
        previous = None
        for t in range(codes.shape[1]):
            number = numbers[row, t].item()
            if number and previous is not None:
                book[previous] = book.get(previous, 0.0) + number
            previous = int(codes[row, t].argmax()) if codes[row, t].any() else None
            if previous is not None:
                answers[row, t] = book.get(previous, 0.0)
    return answers


def rates_one_by_one(steps: int, warmup: int, peak: float, floor: float) -> Tensor:
    """The schedule update by update; the fall as a squared cosine of half the angle."""
    rates = []
    for update in range(steps):
        if update < warmup:
            rates.append(peak * (update + 1) / warmup)
        else:
            half_angle = math.pi / 2 * (update - warmup) / (steps - warmup)
            rates.append(floor + (peak - floor) * math.cos(half_angle) ** 2)
    return torch.tensor(rates)


def kinds_one_by_one(logits: Tensor, labels: Tensor) -> Tensor:
    """The three shares by counting answers one at a time."""
    counts = [0, 0, 0]
    for row, asked in zip(logits.tolist(), labels.tolist(), strict=True):
        listed = {label for label in asked if label != -100}
        for scores, label in zip(row, asked, strict=True):
            if label != -100:
                guess = scores.index(max(scores))
                counts[0 if guess == label else 1 if guess in listed else 2] += 1
    return torch.tensor(counts) / sum(counts)


def perplexities_one_by_one(losses: Tensor, slices: Tensor) -> list[float]:
    """exp of the mean loss of each slice, token by token."""
    found = []
    for chosen in slices.tolist():
        inside = [
            loss
            for row, marks in zip(losses.tolist(), chosen, strict=True)
            for loss, mark in zip(row, marks, strict=True)
            if mark
        ]
        found.append(math.exp(sum(inside) / len(inside)) if inside else math.nan)
    return found


def followers_one_by_one(tokens: list[int]) -> Tensor:
    """(N, N): each row spread over the followers of its token, looked up one by one."""
    found = torch.zeros(len(tokens), len(tokens), dtype=torch.float64)
    for t, token in enumerate(tokens):
        places = [s for s in range(1, t + 1) if tokens[s - 1] == token]
        for s in places:
            found[t, s] = 1 / len(places)
    return found


def differences_one_by_one(
    a: Tensor, b: Tensor, mask: Tensor, document: Tensor, draws: Tensor
) -> list[float]:
    """Mean loss of a minus that of b in each draw, document by document, token by token."""
    tokens = list(zip(a.tolist(), b.tolist(), mask.tolist(), document.tolist(), strict=True))
    found = []
    for drawn in draws.tolist():
        inside = [(x, y) for d in drawn for x, y, chosen, of in tokens if chosen and of == d]
        of_a, of_b = sum(x for x, _ in inside), sum(y for _, y in inside)
        found.append((of_a - of_b) / len(inside) if inside else math.nan)
    return found


def toeplitz_entry_by_entry(h: Tensor, k: int, block: int) -> Tensor:
    """The tile (block, block) that lies k tiles below the diagonal: h (n,) at the lag, else 0."""
    tile = torch.zeros(block, block)
    for t in range(block):
        for s in range(block):
            if 0 <= k * block + t - s < len(h):
                tile[t, s] = h[k * block + t - s]
    return tile


def rows_one_by_one(q: Tensor, k: Tensor, v: Tensor, positions: Tensor, window: int) -> Tensor:
    """Attention in float64: row i sees the `window` tokens that end at positions[i]."""
    rows = []
    for x, t in zip(q.double(), positions.tolist(), strict=True):
        seen = slice(max(0, t + 1 - window), t + 1)
        scores = k[seen].double() @ x / math.sqrt(q.shape[1])
        rows.append(scores.softmax(0) @ v[seen].double())
    return torch.stack(rows).float()
