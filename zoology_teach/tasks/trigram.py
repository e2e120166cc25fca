"""A language model that only counts, without and with a look back (chapter 01).

The plain model mixes what the training text says: how often a token occurs at all, after this
token, after these two. With `copy` a fifth part is mixed in: what followed earlier in the same
row after the last two tokens, or else after the last one. The mixing weights depend on how much
is known about the context, and are fitted by expectation maximisation (EM) on text that was not
counted.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zoology_teach.checks import require, require_int
from zoology_teach.tasks.ngram import NgramCounts, as_tokens, count_ngrams, times_before

PARTS = ("uniform", "unigram", "bigram", "trigram", "copy")
MOST_SEEN = 7  # contexts seen 2^6 times and more share their weights


@dataclass(frozen=True)
class Trigram:
    """p(token | earlier tokens) as a mixture of counted frequencies.

    counts    of unigrams, bigrams and trigrams.
    contexts  of unigrams and bigrams that something follows.
    weights   (S, 5): a row for each state of knowledge, a column for each of `PARTS`.
    """

    vocab_size: int
    counts: tuple[NgramCounts, NgramCounts, NgramCounts]
    contexts: tuple[NgramCounts, NgramCounts]
    weights: NDArray[np.float64]

    def loss(self, tokens: ArrayLike) -> NDArray[np.float64]:
        """-log p in nats of every token of (B, N+1) but a row's first: (B, N)."""
        rows = as_tokens("tokens", tokens, ndim=2)
        state, parts = self._parts(rows)
        p = np.einsum("pk,pk->p", self.weights[state], parts)
        return -np.log(p).reshape(len(rows), -1)

    def _parts(self, tokens: NDArray) -> tuple[NDArray, NDArray]:
        """For each of the P = B N predictions its state (P,) and the five frequencies (P, 5).

        The state says how far back a row's earlier text helps (not, one token, two tokens) and
        how often the last two tokens were seen in training, in powers of two.
        """
        before, last, now = tokens[:, :-2], tokens[:, :-1], tokens[:, 1:]
        bigrams, last_seen = self.counts[1].of(last, now), self.contexts[0].of(last)
        trigrams, two_seen = np.zeros_like(bigrams), np.zeros_like(bigrams)
        trigrams[:, 1:] = self.counts[2].of(before, tokens[:, 1:-1], tokens[:, 2:])
        two_seen[:, 1:] = self.contexts[1].of(before, tokens[:, 1:-1])
        one, two, three = (times_before(tokens, order) for order in (1, 2, 3))
        helps = np.where(two[:, :-1] > 0, 2, np.where(one[:, :-1] > 0, 1, 0))
        parts = [
            np.full(now.shape, 1 / self.vocab_size),
            self.counts[0].of(now) / self.counts[0].num_tokens,
            bigrams / np.maximum(last_seen, 1),
            trigrams / np.maximum(two_seen, 1),
            np.where(helps == 2, three[:, 1:], two[:, 1:])
            / np.maximum(np.where(helps == 2, two[:, :-1], one[:, :-1]), 1),
        ]
        power = np.minimum(np.frexp(two_seen)[1], MOST_SEEN)  # 0 for none, 1 + log2 otherwise
        known = np.where(last_seen == 0, 0, 1 + power)
        return (3 * known + helps).ravel(), np.stack([p.ravel() for p in parts], axis=1)


def fit(
    stream: ArrayLike, unseen: ArrayLike, vocab_size: int, *, copy: bool, steps: int = 30
) -> Trigram:
    """Count the stream (M,), then fit the weights in `steps` rounds of EM on `unseen` (B, N+1).

    vocab_size is V, from which the uniform part is made. Raises ValueError where a token is not
    below V or an array has another shape.
    """
    stream, unseen = as_tokens("stream", stream, ndim=1), as_tokens("unseen", unseen, ndim=2)
    require_int("vocab_size", vocab_size, 1)
    require(len(stream) > 2, "stream", len(stream), "at least three tokens long")
    require(unseen.shape[1] > 2, "unseen", unseen.shape, "rows of at least three tokens")
    largest = int(max(stream.max(), unseen.max()))
    require(
        largest < vocab_size, "vocab_size", vocab_size, f"above every token, of which {largest}"
    )
    counts = count_ngrams(stream, 1), count_ngrams(stream, 2), count_ngrams(stream, 3)
    contexts = count_ngrams(stream[:-1], 1), count_ngrams(stream[:-1], 2)
    possible = _possible(copy)
    model = Trigram(vocab_size, counts, contexts, possible / possible.sum(axis=1, keepdims=True))
    state, parts = model._parts(unseen)
    for _ in range(steps):
        model = replace(model, weights=_better(model.weights, possible, state, parts))
    return model


def _possible(copy: bool) -> NDArray[np.float64]:
    """(S, 5): 1 where a part can say something in a state, 0 where its context was never seen."""
    known, helps = np.divmod(np.arange(3 * (MOST_SEEN + 2)), 3)
    always = np.ones(len(known))
    return np.stack([always, always, known > 0, known > 1, copy & (helps > 0)], axis=1) * 1.0


def _better(weights: NDArray, possible: NDArray, state: NDArray, parts: NDArray) -> NDArray:
    """One round of EM: how many tokens each part explains in each state are its new weight.

    Each possible part is given one token more, so that no weight falls to 0.
    """
    explained = weights[state] * parts
    explained /= explained.sum(axis=1, keepdims=True)
    size = len(weights)
    sums = np.stack([np.bincount(state, e, minlength=size) for e in explained.T], axis=1)
    sums += possible
    return sums / sums.sum(axis=1, keepdims=True)
