"""Weights set by hand do what chapter 07 says of them."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zoology_teach import constructions
from zoology_teach.constructions import Index
from zoology_teach.mixers import H3, MIXERS, BaseConv, Hyena
from zoology_teach.tasks.mqar import MQAR
from zoology_teach.training import accuracy


@pytest.mark.parametrize(
    ("vocab_size", "seq_len", "num_pairs", "width"),
    [(128, 64, 8, 13), (1024, 128, 16, 19), (8192, 512, 64, 25)],
)
@pytest.mark.parametrize("filler", ["blank", "random"])
def test_attention_needs_a_logarithm_of_the_vocabulary(
    vocab_size, seq_len, num_pairs, width, filler
):
    model = constructions.attention(vocab_size)
    task = MQAR(seq_len, num_pairs, vocab_size, filler=filler)
    assert model.config.d_model == width
    assert accuracy(model, task.sample(200, seed=3)) == 1.0


@pytest.mark.parametrize(
    ("vocab_size", "seq_len", "num_pairs"),
    [(64, 32, 8), (256, 64, 8), (256, 512, 64), (1024, 512, 128)],
)
@pytest.mark.slow
def test_base_conv_needs_a_channel_per_key_at_any_length(vocab_size, seq_len, num_pairs):
    task = MQAR(seq_len, num_pairs, vocab_size)
    model = constructions.one_channel_per_key(task).double()
    assert model.config.d_model == vocab_size // 2 + 1
    assert accuracy(model, task.sample(200, seed=3)) == 1.0


@pytest.mark.parametrize("score_scale", [20.0, 6.0])
def test_attention_scores_the_right_place_by_its_scale_above_the_next(score_scale):
    """All seven keys of V = 16 are shown, so that some code differs in one sign only."""
    model = constructions.attention(16, score_scale).double()
    shift, attend = model.mixers
    batch = MQAR(32, 7, 16).sample(20, seed=0)
    u = model.embedding(batch.inputs)
    u = u + shift(u)
    asking = torch.take_along_dim(attend.query(u), batch.positions[..., None], 1)
    scores = asking @ attend.key(u[:, :14]).mT / math.sqrt(model.config.d_model)
    best = scores.topk(2).values
    gap = torch.full_like(best[..., 0], score_scale)
    assert torch.allclose(best[..., 0] - best[..., 1], gap)
    found = scores.argmax(-1)
    assert torch.equal(batch.inputs.gather(1, found), batch.labels.gather(1, batch.positions))


def test_attention_names_the_value_louder_than_the_key():
    """Codes of c signs: 2 c for the value, at least 4 less for another, c for the key asked."""
    model = constructions.attention(16, 60.0).double()
    batch = MQAR(32, 7, 16).sample(20, seed=0)
    logits = model(batch.inputs, batch.positions)
    asked, answers = (x.gather(1, batch.positions) for x in (batch.inputs, batch.labels))
    assert torch.allclose(logits.gather(2, answers[..., None]), logits.new_tensor(6.0))
    others = logits.scatter(2, answers[..., None], -torch.inf)[..., 8:]
    assert torch.allclose(others.amax(2), logits.new_tensor(2.0))
    assert torch.allclose(logits.gather(2, asked[..., None]), logits.new_tensor(3.0))


def test_a_channel_per_key_holds_the_number_of_its_value():
    """The tied head scores s s_w - s_w² / 2 for the value w, with s from 8 to 16."""
    task = MQAR(32, 5, 16)
    model = constructions.one_channel_per_key(task).double()
    batch = task.sample(20, seed=0)
    numbers = torch.linspace(8, 16, 8, dtype=torch.float64)
    s = numbers[batch.labels.gather(1, batch.positions) - 8][..., None]
    logits = model(batch.inputs, batch.positions)
    assert torch.allclose(logits[..., 8:], s * numbers - numbers**2 / 2, atol=1e-5)
    assert torch.equal(logits.argmax(2), batch.labels.gather(1, batch.positions))


# The recipes' numbers, measured before this code existed, at V = 1024.
STAIRCASE = [
    (64, 4, 64, 0.92),
    (64, 4, 128, 1.0),
    (128, 8, 128, 0.85),
    (128, 8, 256, 0.998),
    (256, 16, 256, 0.85),
    (256, 16, 512, 0.99),
]


def staircase(seq_len, num_pairs, channels, vocab_size=1024, seeds=3):
    """Mean accuracy over codes and sequences of as many seeds."""
    task = MQAR(seq_len, num_pairs, vocab_size)
    found = []
    for seed in range(seeds):
        model = constructions.holographic(task, channels, seed)
        assert model.config.d_model == 2 * channels + 1
        found.append(accuracy(model, task.sample(800 // num_pairs, seed=seed)))
    return sum(found) / seeds


@pytest.mark.parametrize(("seq_len", "num_pairs", "channels", "expected"), STAIRCASE)
@pytest.mark.slow
def test_the_training_free_staircase(seq_len, num_pairs, channels, expected):
    assert staircase(seq_len, num_pairs, channels) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(("seq_len", "num_pairs"), [(64, 4), (128, 8), (256, 16)])
@pytest.mark.slow
def test_signal_and_noise_predict_the_staircase(seq_len, num_pairs):
    for per_pair in (8, 16):
        channels = per_pair * num_pairs
        predicted = constructions.predicted_accuracy(channels, num_pairs, 1024)
        assert staircase(seq_len, num_pairs, channels) == pytest.approx(predicted, abs=0.09)
    at_threshold = round(constructions.channels_needed(num_pairs, 1024))
    assert 0.4 < staircase(seq_len, num_pairs, at_threshold) < 0.75


@pytest.mark.parametrize(("num_pairs", "counted"), [(4, 0.95), (8, 0.62), (16, 0.30), (32, 0.13)])
def test_the_formula_agrees_with_what_is_counted_in_chapter_00(num_pairs, counted):
    predicted = constructions.predicted_accuracy(64, num_pairs, 256)
    assert predicted == pytest.approx(counted, abs=0.03)


def test_the_prediction_at_its_ends():
    predicted = constructions.predicted_accuracy
    assert predicted(4000, 4, 1024) == pytest.approx(1)
    assert predicted(64, 1, 1024) == pytest.approx(1)
    assert predicted(8, 500, 8192) < 0.002
    accuracies = [predicted(m, 8, 1024) for m in (1, 16, 64, 128, 256)]
    assert accuracies == sorted(accuracies)
    assert [predicted(64, 8, v) for v in (1024, 256, 64)] == sorted(
        predicted(64, 8, v) for v in (64, 256, 1024)
    )
    assert constructions.channels_needed(9, 1024) == pytest.approx(16 * math.log(512))


def outer_product_accuracy(d, num_pairs, vocab_size=512):
    """A d x d matrix memory, written out: S = sum of a b', score a'S b."""
    g = torch.Generator().manual_seed(0)
    a, b = (torch.randint(2, (vocab_size // 2, d), generator=g) * 2.0 - 1 for _ in range(2))
    right = []
    for _ in range(100):
        key, value = (torch.randperm(vocab_size // 2, generator=g)[:num_pairs] for _ in range(2))
        state = a[key].T @ b[value]
        right.append((a[key] @ state @ b.T).argmax(1).eq(value).float().mean().item())
    return sum(right) / len(right)


@pytest.mark.parametrize(
    ("d", "num_pairs", "expected"),
    [(16, 8, 0.95), (16, 16, 0.75), (16, 32, 0.38), (16, 64, 0.16), (32, 32, 0.97), (32, 64, 0.75)],
)
def test_the_outer_product_state_runs_out(d, num_pairs, expected):
    assert outer_product_accuracy(d, num_pairs) == pytest.approx(expected, abs=0.05)


def test_the_outer_product_is_a_sum_of_products_of_codes():
    for num_pairs in (8, 16):
        task = MQAR(4 * num_pairs, num_pairs, 512)
        found = [
            accuracy(constructions.outer_product(task, 16, seed), task.sample(60, seed=seed))
            for seed in range(2)
        ]
        assert sum(found) / 2 == pytest.approx(outer_product_accuracy(16, num_pairs), abs=0.05)


@pytest.mark.parametrize("build", [constructions.holographic, constructions.outer_product])
def test_the_state_gives_the_models_own_answers(build):
    task = MQAR(32, 6, 64)
    model = build(task, 9).double()
    batch = task.sample(200, seed=1)
    state = constructions.write(model, batch.inputs[:, : 2 * task.num_pairs])
    assert state.dtype == torch.int64 and state.abs().max() <= task.num_pairs
    answers = constructions.read(model, state, batch.inputs.gather(1, batch.positions))
    logits = model(batch.inputs, batch.positions)
    # Sums of few signs often tie, and rounding decides those: compare what was scored.
    chosen = logits.gather(2, answers[..., None])[..., 0]
    assert torch.allclose(chosen, logits.max(dim=2).values)
    assert answers.min() >= task.vocab_size // 2, "a key is never named as an answer"


def test_the_same_weights_hold_fewer_pairs():
    task = MQAR(64, 16, 256)
    model = constructions.holographic(task, 64)
    assert accuracy(model, MQAR(64, 2, 256).sample(100)) > 0.99
    assert accuracy(model, task.sample(100)) < 0.4


def test_constructions_refuse_what_they_cannot_do():
    for build in (constructions.holographic, constructions.outer_product):
        with pytest.raises(ValueError, match="filler"):
            build(MQAR(filler="random"), 8)
        with pytest.raises(ValueError, match="= 0"):
            build(MQAR(), 0)
    with pytest.raises(ValueError, match="filler"):
        constructions.one_channel_per_key(MQAR(filler="random"))
    with pytest.raises(ValueError, match="vocab_size = 7"):
        constructions.attention(7)
    with pytest.raises(ValueError, match="mixer"):
        constructions.as_base_convs(BaseConv(4), 8)


def index(num_bits, channels, vocab_size=64):
    pairs = math.ceil(num_bits / 5)
    task = MQAR(max(4, 4 * pairs), pairs, vocab_size)
    return Index(constructions.holographic(task, channels), num_bits)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 1), min_size=1, max_size=60))
def test_n_bits_go_into_a_state_and_come_back(message):
    bits = torch.tensor(message)
    protocol = index(len(bits), channels=1024)
    sent = protocol.alice(bits)
    assert isinstance(sent, int) and sent.bit_length() <= protocol.state_bits
    assert torch.equal(protocol.bob(sent, torch.arange(len(bits))), bits)
    assert protocol.state_bits >= len(bits), "nobody sends N bits in fewer"


def test_a_small_state_loses_bits_and_obeys_the_bound():
    g = torch.Generator().manual_seed(0)
    for channels in (4, 16, 64):
        protocol = index(60, channels)
        right = 0
        for _ in range(50):
            bits = torch.randint(2, (60,), generator=g)
            answers = protocol.bob(protocol.alice(bits), torch.arange(60))
            right += answers.eq(bits).float().mean().item() / 50
        assert 0.5 < right < 1
        assert protocol.state_bits >= constructions.fewest_bits(60, right)


@given(st.lists(st.sampled_from(range(-6, 7, 2)), min_size=1, max_size=40))
def test_a_state_survives_being_a_number(state):
    packed = constructions.pack(torch.tensor(state), 6)
    assert 0 <= packed < 7 ** len(state)
    assert constructions.unpack(packed, 6, len(state)).tolist() == state


def test_pack_refuses_what_is_no_sum_of_signs():
    with pytest.raises(ValueError, match="state = 8"):
        constructions.pack(torch.tensor([8]), 6)
    with pytest.raises(ValueError, match="bits"):
        index(5, 4).alice(torch.zeros(6, dtype=torch.int64))
    with pytest.raises(ValueError, match="bits"):
        constructions.to_tokens(torch.zeros(500, dtype=torch.int64), 64)


@given(st.integers(1, 8), st.integers(0, 8), st.integers(0, 2**32))
def test_two_messages_meet_in_every_small_state(num_bits, state_bits, seed):
    g = torch.Generator().manual_seed(seed)
    table = torch.randint(2**state_bits, (2**num_bits,), generator=g).tolist()
    found = constructions.fooling_pair(table.__getitem__, num_bits)
    if state_bits < num_bits:
        assert found is not None, "the pigeonhole"
    if found is None:
        assert len(set(table)) == len(table)
    else:
        assert found[0] != found[1] and table[found[0]] == table[found[1]]


def test_the_bound_between_its_ends():
    assert constructions.fewest_bits(100, 1.0) == 100
    assert constructions.fewest_bits(100, 0.5) == pytest.approx(0)
    assert constructions.fewest_bits(9, 0.1) == pytest.approx(constructions.fewest_bits(9, 0.9))
    assert constructions.fewest_bits(1000, 0.89) == pytest.approx(500, abs=1)


def test_the_bound_holds_for_the_best_of_all_small_states():
    # Every map from 2 or 3 bits to a state, the best guess for each bit: never above it.
    for num_bits, states in ((2, 2), (3, 2)):
        messages = list(itertools.product((0, 1), repeat=num_bits))
        best = 0.0
        for code in itertools.product(range(states), repeat=len(messages)):
            right = 0
            for state, bit in itertools.product(range(states), range(num_bits)):
                ones = [m[bit] for m, c in zip(messages, code, strict=True) if c == state]
                right += max(sum(ones), len(ones) - sum(ones))
            best = max(best, right / (num_bits * len(messages)))
        assert constructions.fewest_bits(num_bits, best) <= math.log2(states)


@pytest.mark.parametrize("n", [1, 2, 17])
@pytest.mark.parametrize("init", ["usual", "identity"])
@pytest.mark.parametrize("mixer", [H3, Hyena])
def test_base_convs_simulate_h3_and_hyena(mixer, init, n):
    torch.manual_seed(0)
    options = {"max_len": 17} if mixer is Hyena else {"d_state": 8}
    original = mixer(5, **options, init=init).double()
    for parameter in original.parameters():  # biases too, and no weight near 0
        parameter.data += 0.3 * torch.randn_like(parameter)
    stack = constructions.as_base_convs(original, n)
    assert all(type(layer) is MIXERS["base_conv"] for layer in stack)
    u = torch.randn(3, n, 5, dtype=torch.float64)
    assert (stack(u) - original(u)).abs().max() < 1e-10
    expected = original.float()(u.float())
    assert (stack.float()(u.float()) - expected).abs().max() < 1e-5 * max(1, expected.abs().max())
    assert expected.abs().max() > 0.1


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (
            lambda: constructions.to_tokens(torch.zeros(0, dtype=torch.int64), 8),
            "bits shape = (0,)",
        ),
        (lambda: Index(index(4, 5).model, 0), "num_bits = 0: must be an integer >= 1"),
        (lambda: index(4, 5).bob(0, torch.tensor([4])), "asked = [4]: must be bits in 0 .. 3"),
        (lambda: index(4, 5).bob(0, torch.tensor([-1])), "asked = [-1]"),
        (lambda: constructions.fooling_pair(int, -1), "num_bits = -1"),
        (lambda: constructions.sign_codes(0), "count = 0: must be an integer >= 1"),
        (lambda: constructions.attention(8, score_scale=0.0), "score_scale = 0.0"),
        (lambda: constructions.channels_needed(0, 8), "num_pairs = 0"),
        (lambda: constructions.channels_needed(1, 3), "vocab_size = 3"),
        (
            lambda: constructions.write(
                constructions.holographic(MQAR(16, 2, 8), 4), torch.zeros(0, 4, dtype=torch.int64)
            ),
            "tokens shape = (0, 4): must be (B, N), none of them 0",
        ),
    ],
)
def test_what_cannot_be_asked_is_named(call, named):
    with pytest.raises(ValueError) as error:
        call()
    assert named in str(error.value)


def test_the_predicted_accuracy_by_its_integral():
    def phi(x):
        return 0.5 * math.erfc(-x / math.sqrt(2))

    assert constructions.predicted_accuracy(4, 1, 8) == pytest.approx(phi(2.0) ** 3)

    def share(z, m=20, k=3, wrong=15):
        s = math.sqrt(m * (k - 1)) * z
        density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        return density * phi((m + s) / math.sqrt(max(1, m * k + 2 * s))) ** wrong

    expected = sum(share(-8 + i / 1000) for i in range(16001)) / 1000
    assert constructions.predicted_accuracy(20, 3, 32) == pytest.approx(expected, abs=1e-4)


def test_a_memory_is_written_by_whole_pairs():
    model = constructions.holographic(MQAR(8, 1, 8), 4)
    with pytest.raises(ValueError, match="N = 1: must be even"):
        constructions.write(model, torch.zeros(1, 1, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"tokens shape = \(0, 2\): must be \(B, N\)"):
        constructions.write(model, torch.zeros(0, 2, dtype=torch.int64))
    assert constructions.write(model, torch.tensor([[1, 4]])).shape == (1, 4)
