"""What BaseConv was measured to answer, cell by cell, and what lies between (chapter 06).

From the identity-like start, 500 steps of 32 sequences, V = 256, learning rate 0.02. The numbers
are those of book/results/pairs_and_length.csv, and a test computes them again from there.
"""

import math
from itertools import product

WIDTHS, LENGTHS, PAIRS = (16, 32, 64, 128), (64, 128, 256), (2, 4, 8)
# Mean of three seeds; a row for each width, in it K = 2, 4, 8.
ACCURACY = {
    64: (
        (0.531, 0.211, 0.095),
        (0.881, 0.460, 0.187),
        (0.939, 0.763, 0.458),
        (0.943, 0.900, 0.775),
    ),
    128: (
        (0.508, 0.196, 0.090),
        (0.831, 0.410, 0.161),
        (0.917, 0.728, 0.411),
        (0.934, 0.872, 0.713),
    ),
    256: (
        (0.474, 0.181, 0.083),
        (0.768, 0.353, 0.138),
        (0.892, 0.645, 0.334),
        (0.902, 0.819, 0.607),
    ),
}
# CPU seconds of one training, the median of all numbers of pairs; a number for each width.
SECONDS = {64: (2.3, 3.1, 4.4, 7.9), 128: (2.7, 3.7, 6.5, 12.9), 256: (4.0, 6.3, 11.6, 25.5)}


def is_measured(d_model: int, seq_len: int, num_pairs: int) -> bool:
    """Whether this is one of the measured cells."""
    return d_model in WIDTHS and seq_len in LENGTHS and num_pairs in PAIRS


def accuracy_between(d_model: float, seq_len: float, num_pairs: float) -> float:
    """What the eight measured cells around this one say, an accuracy.

    Linear in log d, log N and log K, and in the logit of the accuracy: so it stays monotone,
    and between 0 and 1. Each of the three lies within what was measured.
    """
    corners = product(*map(_around, (WIDTHS, LENGTHS, PAIRS), (d_model, seq_len, num_pairs)))
    logit = 0.0
    for (i, of_d), (j, of_n), (l, of_k) in corners:
        a = ACCURACY[LENGTHS[j]][i][l]
        logit += of_d * of_n * of_k * math.log(a / (1 - a))
    return 1 / (1 + math.exp(-logit))


def seconds_between(d_model: float, seq_len: float) -> float:
    """CPU seconds of one training, from the four measured costs around: a power law between."""
    log = 0.0
    for (i, of_d), (j, of_n) in product(_around(WIDTHS, d_model), _around(LENGTHS, seq_len)):
        log += of_d * of_n * math.log(SECONDS[LENGTHS[j]][i])
    return math.exp(log)


def _around(measured: tuple[int, ...], x: float) -> list[tuple[int, float]]:
    """The places of the two measured numbers around x, each with its weight, on a log axis."""
    above = next(i for i, m in enumerate(measured) if x <= m and i)
    low, high = measured[above - 1], measured[above]
    part = math.log(x / low) / math.log(high / low)
    return [(above - 1, 1 - part), (above, part)]
