"""Everything in one place: a sum of products as the only memory (chapter 07).

    layer 1, at a value:  v_i ⊙ (k_i - 1) + v_i = k_i ⊙ v_i                     codes (m,)
    layer 2, at a query:  k_j ⊙ (M - 1) + k_j  = k_j ⊙ M,    M = sum_i k_i ⊙ v_i

k_j ⊙ M is v_j plus noise from the other pairs, so the nearest value code is the answer,
mostly. All that the second layer knows of the past is M: m whole numbers (`write`, `read`).
"""

import math

import torch
from torch import Tensor

from zoology_teach.checks import require, require_int
from zoology_teach.constructions.blank import blank_model
from zoology_teach.mixers import BaseConv
from zoology_teach.model import LanguageModel, ModelConfig, layer
from zoology_teach.tasks.mqar import MQAR


def holographic(task: MQAR, channels: int, seed: int = 0) -> LanguageModel:
    """Two BaseConv layers with random codes of m = `channels` signs; D = 2m + 1.

    m channels carry keys, then products, then the memory; m hold the values that open the
    first gate, whose bias takes the value itself away again; one marks values, so that no
    key is named as an answer. The query's code is still there when the second gate reads
    it, because the first opens at values only: no second copy of it is needed.

    The second filter sums odd lags. Keys and queries stand at even positions, so a query
    sums values only; that and the gates need a blank filler. `task.num_pairs` plays no part
    in the codes: the same model reads any K that `task.seq_len` admits.
    """
    require_int("channels", channels, 1)
    generator = torch.Generator().manual_seed(seed)
    count = task.vocab_size // 2
    return _memory(task, _signs(count, channels, generator), _signs(count, channels, generator))


def outer_product(task: MQAR, d: int, seed: int = 0) -> LanguageModel:
    """The d x d state of linear attention as a BaseConv memory, D = 2d² + 1.

    With codes a ⊗ 1 for keys and 1 ⊗ b for values (a, b of d signs) the memory is
    M = sum_i a_i ⊗ b_i, the matrix S = sum_i a_i b_iᵀ written as a row, and the score of a
    value is a_qᵀ S b. Linear attention needs d channels for it and not d²; the state is
    the same.
    """
    require_int("d", d, 1)
    generator = torch.Generator().manual_seed(seed)
    count = task.vocab_size // 2
    a, b = _signs(count, d, generator), _signs(count, d, generator)
    return _memory(task, a.repeat_interleave(d, dim=1), b.repeat(1, d))


def _signs(count: int, size: int, generator: torch.Generator) -> Tensor:
    """(count, size) random -1.0 and 1.0."""
    return torch.randint(2, (count, size), generator=generator) * 2.0 - 1


def _memory(task: MQAR, key_codes: Tensor, value_codes: Tensor) -> LanguageModel:
    """The two layers for codes (V/2, m); key_codes[0] is unused, since token 0 is blank."""
    require(task.filler == "blank", "task.filler", task.filler, "'blank'")
    first_value, m = task.vocab_size // 2, key_codes.shape[1]
    memory, opener, flag = slice(0, m), slice(m, 2 * m), 2 * m
    model = blank_model(
        ModelConfig(
            task.vocab_size,
            2 * m + 1,
            (
                layer("base_conv", kernel_size=2),
                layer("base_conv", filter="long", max_len=task.seq_len),
            ),
            norm=False,
        )
    )
    with torch.no_grad():
        embedding = model.embedding.weight
        embedding[1:first_value, memory] = key_codes[1:]
        embedding[first_value:, memory] = value_codes
        embedding[first_value:, opener] = value_codes
        embedding[first_value:, flag] = 1

        bind, recall = model.mixers
        assert isinstance(bind, BaseConv) and isinstance(recall, BaseConv)
        bind.explicit_filter[memory, 1] = 1
        bind.conv_bias[memory] = -1
        bind.projection.weight[memory, opener] = torch.eye(m)

        recall.explicit_filter[memory, 1::2] = 1
        recall.conv_bias[memory] = -1
        recall.projection.weight[memory, memory] = torch.eye(m)
        recall.projection.bias[flag] = 1
        recall.conv_bias[flag] = 2 * m * task.seq_len / 4  # above any two scores' difference
    return model


@torch.no_grad()
def write(model: LanguageModel, tokens: Tensor) -> Tensor:
    """The memory (B, m) of a `holographic` model after tokens (B, N), N even: whole numbers."""
    shape = tuple(tokens.shape)
    require(len(shape) == 2 and tokens.numel() > 0, "tokens shape", shape, "(B, N), none of them 0")
    require(shape[1] % 2 == 0, "N", shape[1], "even")
    u = model.embedding(tokens)
    products = u + model.mixers[0](u)
    return products[:, 1::2, : u.shape[2] // 2].sum(dim=1).round().long()


@torch.no_grad()
def read(model: LanguageModel, state: Tensor, queries: Tensor) -> Tensor:
    """The model's answers (B, Q) to queries (B, Q) that follow a prefix with memory (B, m)."""
    recall, u = model.mixers[1], model.embedding(queries)
    assert isinstance(recall, BaseConv)
    summed = torch.zeros_like(u)
    summed[..., : state.shape[1]] = state[:, None].to(u.dtype)
    hidden = u + recall.projection(u) * (summed + recall.conv_bias)
    return (hidden @ model.embedding.weight.T).argmax(dim=-1)


def channels_needed(num_pairs: int, vocab_size: int) -> float:
    """m ≈ 2 (K - 1) ln(V/2), where the signal equals the loudest noise to be expected.

    The right value scores m. Each of the V/2 wrong ones scores about sqrt(m (K - 1)) times
    a standard normal number, and the largest of them reaches sqrt(2 ln(V/2)) of these.
    A half to two thirds of the answers are right there; `predicted_accuracy` has the curve.
    """
    require_int("num_pairs", num_pairs, 1)
    require_int("vocab_size", vocab_size, 4)
    return 2 * (num_pairs - 1) * math.log(vocab_size / 2)


def predicted_accuracy(channels: int, num_pairs: int, vocab_size: int) -> float:
    """Share of right answers of m = `channels` random signs holding K pairs, V/2 values.

    With x = k_j ⊙ M and noise s ~ N(0, m (K - 1)), the right score is x·v_j = m + s, and
    |x|² ≈ m K + 2 s. A wrong score is a sum of random signs times x, so N(0, |x|²), and
    V/2 - 1 of them, independent, must all be lower:

        E_s  Φ( (m + s) / sqrt(m K + 2 s) ) ^ (V/2 - 1)

    A calculation with normal numbers, no proof: pessimistic where m is small, since sums of
    few signs reach less far than a normal number.
    """
    require_int("channels", channels, 1)
    require_int("num_pairs", num_pairs, 1)
    require_int("vocab_size", vocab_size, 4)
    z = torch.linspace(-8, 8, 4001, dtype=torch.float64, device="cpu")
    weight = torch.softmax(-z * z / 2, dim=0)
    s = math.sqrt(channels * (num_pairs - 1)) * z
    length = (channels * num_pairs + 2 * s).clamp(min=1).sqrt()
    below = torch.special.ndtr((channels + s) / length)
    return (weight * below ** (vocab_size // 2 - 1)).sum().item()
