"""The generator has exactly the law of the paper's, and says what is wrong with bad input."""

import dataclasses
import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from zoology_teach.tasks import mqar, single_query
from zoology_teach.tasks.examples import IGNORED, Examples


@st.composite
def shapes(draw):
    """(N, K, V) that fit together, crowded vocabularies included."""
    num_pairs = draw(st.integers(1, 12))
    seq_len = 2 * draw(st.integers(2 * num_pairs, 2 * num_pairs + 20))
    vocab_size = 2 * draw(st.integers(num_pairs + 1, 60))
    return seq_len, num_pairs, vocab_size


@settings(max_examples=150, deadline=None)
@given(shapes(), st.sampled_from(["blank", "random"]), st.integers(0, 10**6))
def test_every_question_has_exactly_one_answer_and_it_stands_before(shape, filler, seed):
    seq_len, num_pairs, vocab_size = shape
    examples = mqar.sample(4, seq_len, num_pairs, vocab_size, filler=filler, seed=seed)
    assert examples.inputs.shape == examples.labels.shape == (4, seq_len)
    assert examples.inputs.dtype == examples.labels.dtype == torch.int64
    assert 0 <= examples.inputs.min() and examples.inputs.max() < vocab_size
    for tokens, labels in zip(examples.inputs.tolist(), examples.labels.tolist(), strict=True):
        asked = [t for t, label in enumerate(labels) if label != IGNORED]
        assert len(asked) == num_pairs
        for t in asked:
            earlier = [s for s in range(t) if tokens[s] == tokens[t]]
            assert len(earlier) == 1, "the key stands before its query exactly once"
            assert earlier[0] < 2 * num_pairs and earlier[0] % 2 == 0
            assert tokens[earlier[0] + 1] == labels[t]
            assert t >= 2 * num_pairs and t % 2 == 0
            assert tokens.count(tokens[t]) == 2, "no filler is one of the keys"


@settings(max_examples=60, deadline=None)
@given(shapes(), st.integers(0, 10**6))
def test_blank_filler_leaks_no_label(shape, seed):
    seq_len, num_pairs, vocab_size = shape
    examples = mqar.sample(4, seq_len, num_pairs, vocab_size, seed=seed)
    keys, values = (
        examples.inputs[:, 0 : 2 * num_pairs : 2],
        examples.inputs[:, 1 : 2 * num_pairs : 2],
    )
    rest = examples.inputs[:, 2 * num_pairs :]
    assert keys.max() < vocab_size // 2 <= values.min()
    assert rest.max() < vocab_size // 2, "after the pairs no value token appears"
    assert ((rest > 0).sum(dim=1) == num_pairs).all()
    for row in torch.cat([keys, values], dim=1).tolist():
        assert len(set(row)) == 2 * num_pairs


def test_slots_follow_the_law_of_successive_draws():
    """Ordered pairs of slots, against p(g1) * p(g2) / (1 - p(g1)), by chi-square."""
    num_slots, power, draws = 5, 0.01, 40_000
    examples = mqar.sample(draws, 2 * (num_slots + 2), 2, 40, power=power, seed=5)
    first, second = (
        (examples.inputs[:, 4:] == examples.inputs[:, column, None]).int().argmax(dim=1) // 2
        for column in (0, 2)
    )
    observed = torch.bincount(first * num_slots + second, minlength=num_slots**2).numpy()
    weight = np.arange(1, num_slots + 1) ** (power - 1)
    p = weight / weight.sum()
    law = np.array(
        [
            0 if a == b else p[a] * p[b] / (1 - p[a])
            for a, b in itertools.product(range(5), repeat=2)
        ]
    )
    assert (observed[law == 0] == 0).all()
    possible = law > 0
    assert chisquare(observed[possible], draws * law[possible]).pvalue > 1e-4


def test_the_first_of_many_pairs_draws_its_slot_before_the_others():
    draws, num_slots, power = 20_000, 40, 0.01
    inputs = mqar.sample(draws, 96, 8, 40, power=power, seed=5).inputs
    first = (inputs[:, 16:] == inputs[:, :1]).int().argmax(dim=1) // 2
    weight = np.arange(1, num_slots + 1) ** (power - 1)
    observed = torch.bincount(first, minlength=num_slots).numpy()
    assert chisquare(observed, draws * weight / weight.sum()).pvalue > 1e-4


@pytest.mark.parametrize("vocab_size", [8, 60])  # shuffled alphabet; drawn and redrawn
def test_ordered_keys_are_equally_likely(vocab_size):
    keys = mqar.sample(30_000, 8, 2, vocab_size, seed=1).inputs[:, [0, 2]]
    alphabet = vocab_size // 2 - 1
    counts = torch.bincount((keys[:, 0] - 1) * alphabet + keys[:, 1] - 1, minlength=alphabet**2)
    counts = counts.view(alphabet, alphabet)
    assert counts.diagonal().sum() == 0
    possible = counts[~torch.eye(alphabet, dtype=torch.bool)].numpy()
    assert chisquare(possible).pvalue > 1e-4


def test_random_filler_is_uniform_over_all_tokens_but_the_keys():
    examples = mqar.sample(20_000, 16, 2, 12, filler="random", seed=2)
    is_filler = torch.ones_like(examples.inputs, dtype=torch.bool)
    is_filler[:, :4] = False
    is_filler &= examples.labels == IGNORED
    keys = examples.inputs[:, [0, 2]]
    here = ((keys[:, 0] == 1) & (keys[:, 1] == 4))[:, None] & is_filler
    counts = torch.bincount(examples.inputs[here], minlength=12)
    assert counts[[1, 4]].sum() == 0
    assert chisquare(np.delete(counts.numpy(), [1, 4])).pvalue > 1e-4


def test_same_seed_same_data_and_a_generator_moves_on():
    a, b = (mqar.sample(3, 32, 4, 64, seed=7).inputs for _ in range(2))
    assert torch.equal(a, b)
    generator = torch.Generator().manual_seed(7)
    before = torch.random.get_rng_state()
    first, second = (mqar.sample(3, 32, 4, 64, seed=generator).inputs for _ in range(2))
    assert torch.equal(first, a) and not torch.equal(second, a)
    assert torch.equal(torch.random.get_rng_state(), before), "the global generator is untouched"


@pytest.mark.parametrize("task", [mqar.MQAR(32, 4, 16), mqar.MQAR(32, 4, 512)])
def test_the_default_dtype_of_torch_draws_nothing_else(task):
    single = task.sample(20, seed=3)
    try:
        torch.set_default_dtype(torch.float64)
        double = task.sample(20, seed=3)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(single.inputs, double.inputs)
    assert torch.equal(single.labels, double.labels)


def test_the_sequence_in_the_docstring_is_one_of_the_task():
    _, inputs, labels = (
        line.split()
        for line in mqar.__doc__.splitlines()
        if "inputs " in line or "labels " in line or "N = 12" in line
    )
    tokens, answers = [int(t) for t in inputs[1:]], labels[1:13]
    task = mqar.MQAR(12, 2, 16)
    assert len(tokens) == task.seq_len and max(tokens) < task.vocab_size
    pairs = dict(zip(tokens[:4:2], tokens[1:4:2], strict=True))
    for t, answer in enumerate(answers):
        assert (answer == ".") if t < 4 or tokens[t] == 0 else (int(answer) == pairs[tokens[t]])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"seq_len": 63}, "seq_len = 63: must be even"),
        ({"seq_len": 30}, "seq_len = 30: must be at least 4 * num_pairs = 32"),
        ({"vocab_size": 16}, "vocab_size = 16: must be at least 2 * num_pairs"),
        ({"vocab_size": 255}, "vocab_size = 255: must be even"),
        ({"num_pairs": 0}, "num_pairs = 0"),
        ({"num_pairs": 2.0}, "num_pairs = 2.0: must be an integer"),
        ({"num_examples": 0}, "num_examples = 0"),
        ({"power": 0.0}, "power = 0.0: must be positive"),
        ({"power": math.nan}, "power = nan"),
        ({"filler": "noise"}, "filler = 'noise': must be 'blank' or 'random'"),
    ],
)
def test_bad_input_names_the_argument(arguments, named):
    good = {"num_examples": 2, "seq_len": 64, "num_pairs": 8, "vocab_size": 256}
    with pytest.raises(ValueError) as error:
        mqar.sample(**{**good, **arguments})
    assert named in str(error.value)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.integers(2, 20), st.integers(0, 10**6))
def test_single_query_asks_once_at_the_end(num_pairs, num_keys, seed):
    examples = single_query.sample(5, 2 * num_pairs + 1, 2 * num_keys, seed=seed)
    assert (examples.labels[:, :-1] == IGNORED).all()
    for tokens, labels in zip(examples.inputs.tolist(), examples.labels.tolist(), strict=True):
        dictionary = dict(zip(tokens[0:-1:2], tokens[1::2], strict=True))
        assert dictionary[tokens[-1]] == labels[-1]
        assert max(dictionary) < num_keys <= min(dictionary.values())


def test_single_query_refuses_even_lengths():
    with pytest.raises(ValueError, match="seq_len = 64: must be odd"):
        single_query.sample(1, 64, 16)


def test_examples_know_where_something_is_asked():
    labels = torch.tensor([[IGNORED, 5, IGNORED, 7], [1, IGNORED, 2, IGNORED]])
    examples = Examples(torch.zeros_like(labels), labels)
    assert examples.positions.tolist() == [[1, 3], [0, 2]]
    assert examples.targets.tolist() == [[5, 7], [1, 2]]
    ragged = Examples(labels, torch.tensor([[1, 2, IGNORED, 3], [1, 2, IGNORED, IGNORED]]))
    with pytest.raises(ValueError, match="same number of questions"):
        _ = ragged.positions
    none = Examples(labels[:0], labels[:0])
    assert none.positions.shape == none.targets.shape == (0, 0) and len(none) == 0
    silent = Examples(labels, torch.full_like(labels, IGNORED))
    assert silent.positions.shape == (2, 0)
    with pytest.raises(ValueError, match=r"labels shape = \(1, 4\): must be \(2, 4\)"):
        Examples(labels, labels[:1])
    with pytest.raises(ValueError, match=r"inputs shape = \(4,\)"):
        Examples(labels[0], labels[0])


def test_a_single_query_asks_for_each_shown_pair_alike():
    """So a key that is shown twice is asked twice as often, as the docstring says."""
    examples = single_query.sample(40_000, 7, 4, seed=0)  # three pairs of two keys
    shown, asked = examples.inputs[:, 0:-1:2], examples.inputs[:, -1]
    twice = shown.sum(1) == 2  # key 1 is shown twice, key 0 once
    assert asked[twice].double().mean().item() == pytest.approx(2 / 3, abs=0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.slow
def test_a_million_examples_in_batches_stay_below_a_gibibyte():
    code = """
import pathlib, re, torch
from zoology_teach.tasks import mqar
generator = torch.Generator().manual_seed(0)
for _ in range(20):
    mqar.sample(50_000, 64, 8, 8192, seed=generator)
status = pathlib.Path("/proc/self/status").read_text()
print(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1])
"""
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(seen.stdout) < 2**20, "the largest resident size, in KiB"


@pytest.mark.parametrize("alphabet", [8, 32, 33, 34, 100])
def test_keys_and_values_are_drawn_without_repetition_from_small_and_large_alphabets(alphabet):
    v = 2 * alphabet
    inputs = mqar.sample(2000, 32, 7, v, seed=0).inputs
    keys, values = inputs[:, 0:14:2], inputs[:, 1:14:2]
    for tokens, low, high in ((keys, 1, alphabet), (values, alphabet, v)):
        ordered = tokens.sort(dim=1).values
        assert (ordered[:, 1:] > ordered[:, :-1]).all()
        assert tokens.min() == low and tokens.max() == high - 1
        counts = torch.bincount(tokens.flatten() - low, minlength=high - low)
        each = 14_000 / (high - low)
        assert (counts - each).abs().max() < 5 * each**0.5


def test_new_names_are_one_permutation_of_all_tokens_in_a_batch():
    task = mqar.MQAR(16, 3, 16)
    plain, renamed = task.sample(50, 4), dataclasses.replace(task, rename=True).sample(50, 4)
    names = {}
    for old, new in zip(plain.inputs.flatten(), renamed.inputs.flatten(), strict=True):
        assert names.setdefault(old.item(), new.item()) == new.item()
    assert len(set(names.values())) == len(names) and any(a != b for a, b in names.items())
    asked = plain.labels != -100
    assert ((renamed.labels != -100) == asked).all()
    assert [names[t] for t in plain.labels[asked].tolist()] == renamed.labels[asked].tolist()
    other = dataclasses.replace(task, rename=True).sample(50, 5)
    assert (other.inputs.mode().values != renamed.inputs.mode().values).any(), "each batch anew"
