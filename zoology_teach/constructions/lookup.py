"""A place for everything: MQAR without error (chapters 03 and 04).

Attention keeps every token and finds the right one; BaseConv gives every key a channel.
"""

import math

import torch
from torch import Tensor

from zoology_teach.checks import require, require_int, require_positive
from zoology_teach.constructions.blank import blank_model, check_vocabulary
from zoology_teach.mixers import Attention, BaseConv
from zoology_teach.model import LanguageModel, ModelConfig, layer
from zoology_teach.tasks.mqar import MQAR


def attention(vocab_size: int, score_scale: float = 20.0) -> LanguageModel:
    """MQAR by one shift and one attention layer, D = 2 ceil(log2(V/2)) + 1 (chapter 03).

    The channels are a key code of c = ceil(log2(V/2)) signs, a value code of c signs, and a
    flag that marks values. The shift gives every value the code of the key before it; a
    query then finds the flagged position with its own code, however far away it is.
    `score_scale` is the gap between the right score and the next, in units of the softmax.
    Needs 2 * exp(-score_scale) * N << 1. Works with blank and with random filler.
    """
    check_vocabulary(vocab_size)
    require_positive("score_scale", score_scale)
    first_value = vocab_size // 2
    code = sign_codes(first_value)
    c = code.shape[1]
    key, value, flag = slice(0, c), slice(c, 2 * c), 2 * c
    d_model = 2 * c + 1

    model = blank_model(
        ModelConfig(
            vocab_size,
            d_model,
            (layer("base_conv", kernel_size=2), layer("attention")),
            norm=False,
        )
    )
    with torch.no_grad():
        embedding = model.embedding.weight
        embedding[1:first_value, key] = code[1:]
        embedding[first_value:, value] = code
        embedding[first_value:, flag] = 1

        shift, attend = model.mixers
        assert isinstance(shift, BaseConv) and isinstance(attend, Attention)
        shift.explicit_filter[:, 1] = 1
        shift.projection.weight[key, flag] = 1  # the gate opens at values only

        # Equal codes score c, the next best c - 2; the flag adds c at values.
        sharpness = score_scale / 2 * math.sqrt(d_model)
        attend.query.weight[key, key] = sharpness * torch.eye(c)
        attend.query.bias[flag] = sharpness * c
        attend.key.weight[key, key] = torch.eye(c)
        attend.key.weight[flag, flag] = 1
        attend.value.weight[value, value] = torch.eye(c)
        attend.out.weight[value, value] = 2 * torch.eye(c)  # louder than the query's own code
    return model


def one_channel_per_key(task: MQAR) -> LanguageModel:
    """MQAR by two BaseConv layers, D = V/2 + 1, for any N and any K (chapters 04, 07).

    Every key owns a channel, every value is a number s_w. Layer 1 writes s_w into the
    channel of the key before it. Layer 2 sums each channel over time, and the query's gate
    opens only its own. The width grows with the vocabulary, not with the sequence.

    The task's filler must be blank. `task.seq_len` sizes the running sum. In float32 exact
    up to V = 256; use ``.double()`` above, since neighbouring values lie 16/V apart.
    """
    require(task.filler == "blank", "task.filler", task.filler, "'blank'")
    vocab_size = task.vocab_size
    first_value = vocab_size // 2
    keys, number, square = slice(0, first_value - 1), first_value - 1, first_value
    numbers = torch.linspace(8, 16, vocab_size - first_value)

    model = blank_model(
        ModelConfig(
            vocab_size,
            first_value + 1,
            (
                layer("base_conv", kernel_size=2),
                layer("base_conv", filter="long", max_len=task.seq_len),
            ),
            norm=False,
        )
    )
    with torch.no_grad():
        embedding = model.embedding.weight
        embedding[1:first_value, keys] = torch.eye(first_value - 1)
        embedding[1:first_value, square] = -0.5
        embedding[first_value:, keys] = numbers[:, None]
        embedding[first_value:, number] = numbers
        embedding[first_value:, square] = numbers**2

        # At a value: s·1 + s·(onehot(key before) - 1) = s·onehot(key before).
        write, read = model.mixers
        assert isinstance(write, BaseConv) and isinstance(read, BaseConv)
        write.explicit_filter[keys, 1] = 1
        write.conv_bias[keys] = -1
        write.projection.weight[keys, number] = 1

        # The sum holds the key twice and s. Adding the query itself: 1 + (2 + s) - 3 = s.
        read.explicit_filter[keys] = 1
        read.conv_bias[keys] = -3
        read.projection.weight[keys, keys] = torch.eye(first_value - 1)
    # The tied head then scores s·s_w - s_w²/2, largest at s_w = s.
    return model


def sign_codes(count: int) -> Tensor:
    """(count, ceil(log2 count)) of -1 and 1: the binary digits of 0 .. count-1."""
    require_int("count", count, 1)
    bits = max(1, math.ceil(math.log2(count)))
    digits = torch.arange(count)[:, None] >> torch.arange(bits) & 1
    return 2.0 * digits - 1
