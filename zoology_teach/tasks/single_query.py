"""The older recall task: many pairs, ONE query, at the end (chapter 02).

The synthetic that H3 (Fu et al., arXiv:2212.14052) and Hyena (Poli et al., arXiv:2302.10866)
were tuned on. Every sequence has its own dictionary from keys to values; it shows (N-1)/2 of
its entries, drawn with repetition, and ends with a key that it has shown. Gated convolutions
solve it; MQAR asks what it leaves out.

Two things differ from that synthetic. Here the query is the key of a pair drawn uniformly, so a
key that was shown twice is asked twice as often; there every *distinct* key that was shown is
equally likely. And there a separator token stands between the pairs and the query; here the
query is known by its place, the last.
"""

import torch

from zoology_teach.checks import require, require_int
from zoology_teach.configuration import config
from zoology_teach.tasks.examples import IGNORED, Examples, generator_from, on_cpu


@on_cpu
def sample(
    num_examples: int, seq_len: int, vocab_size: int, *, seed: int | torch.Generator = 0
) -> Examples:
    """Draw B = `num_examples` sequences k v k v ... k v q of odd length N = `seq_len`.

    Keys are the tokens {0 .. V/2-1}, values {V/2 .. V-1}. Returns `Examples`: inputs and
    labels (B, N) int64; only the last position of a row has a label, the query's value.
    Each of the shown pairs is equally likely to be the one asked for.
    Raises ValueError where the arguments do not fit together.
    """
    SingleQuery(seq_len, vocab_size)
    require_int("num_examples", num_examples, 1)
    generator = generator_from(seed)
    num_keys, num_pairs = vocab_size // 2, (seq_len - 1) // 2

    def draw(high: int, columns: int) -> torch.Tensor:
        return torch.randint(high, (num_examples, columns), generator=generator)

    dictionary = num_keys + draw(num_keys, num_keys)
    keys = draw(num_keys, num_pairs)
    query = keys.gather(1, draw(num_pairs, 1))

    inputs = torch.empty(num_examples, seq_len, dtype=torch.int64)
    inputs[:, 0:-1:2] = keys
    inputs[:, 1::2] = dictionary.gather(1, keys)
    inputs[:, -1:] = query
    labels = torch.full_like(inputs, IGNORED)
    labels[:, -1:] = dictionary.gather(1, query)
    return Examples(inputs, labels)


@config
class SingleQuery:
    """The arguments of `sample` as one task that `train` can draw batches from."""

    seq_len: int = 65
    vocab_size: int = 16

    def __post_init__(self) -> None:
        require_int("seq_len", self.seq_len, 3)
        require_int("vocab_size", self.vocab_size, 4)
        require(self.seq_len % 2 == 1, "seq_len", self.seq_len, "odd: pairs and one query")
        require(self.vocab_size % 2 == 0, "vocab_size", self.vocab_size, "even")

    def sample(self, num_examples: int, seed: int | torch.Generator = 0) -> Examples:
        """`num_examples` sequences of this task; see `sample`."""
        return sample(num_examples, self.seq_len, self.vocab_size, seed=seed)
