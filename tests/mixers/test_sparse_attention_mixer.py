"""Attention of selected rows: each selection against its definition, and its cost."""

import itertools
from pathlib import Path

import pytest
import torch
from torch import nn

from zoology_teach import plots
from zoology_teach.experiments import results, sweep, synthetic_presets
from zoology_teach.mixers.attention import Attention
from zoology_teach.mixers.selections import Full, Programmatic, Random
from zoology_teach.mixers.sparse_attention import (
    SELECTIONS,
    SparseAttention,
    auxiliary_loss,
    seen_before,
)
from zoology_teach.model import LanguageModel, ModelConfig, layer
from zoology_teach.tasks.mqar import MQAR
from zoology_teach.training import accuracy, batch_loss, train

TABLE = Path(__file__).parents[2] / "book" / "results" / "hybrids.csv"
D, N = 16, 24


def make(selection: str, **options) -> SparseAttention:
    torch.manual_seed(0)
    made = SparseAttention(D, selection=selection, num_heads=2, **options).double()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.3)
    return made


def sequences(n: int = N, batch: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """u (B, N, D) and tokens (B, N) with many repeats and many blanks."""
    generator = torch.Generator().manual_seed(n)
    u = torch.randn(batch, n, D, generator=generator, dtype=torch.float64)
    return u, torch.randint(0, 12, (batch, n), generator=generator)


def by_definition(mixer: SparseAttention, u: torch.Tensor, f: torch.Tensor) -> torch.Tensor:
    """Every row of plain attention, then weighed with f: the paper's formula."""
    dense = Attention(D, num_heads=2).double()
    dense.load_state_dict(mixer.state_dict(), strict=False)
    return dense(u) * f[..., None]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("selection", SELECTIONS)
def test_rows_are_those_of_attention_times_f(selection, training):
    mixer = make(selection, **({"k": 6} if selection == "learned" else {})).train(training)
    u, tokens = sequences()
    y = mixer(u, tokens=tokens)
    f = mixer.last_selection
    assert f.shape == (3, N) and not f.requires_grad
    assert torch.allclose(y, by_definition(mixer, u, f), atol=1e-12)
    if selection != "full":
        assert 0 < (f != 0).sum() < f.numel()
        assert (y[f == 0] == 0).all()


@pytest.mark.parametrize("selection", SELECTIONS)
def test_rows_asked_for_are_the_rows_of_the_whole(selection):
    mixer = make(selection).eval()
    u, tokens = sequences()
    positions = torch.tensor([[0, 3, 19], [7, 7, 1], [23, 22, 21]])
    expected = torch.take_along_dim(mixer(u, tokens=tokens), positions[..., None], 1)
    assert torch.allclose(mixer(u, positions, tokens), expected, atol=1e-12)


def test_with_a_short_convolution_it_is_attention_with_one():
    u, tokens = sequences()
    mixer = make("programmatic", short_conv=3)
    dense = Attention(D, num_heads=2, short_conv=3).double()
    dense.load_state_dict(mixer.state_dict(), strict=False)
    expected = dense(u) * seen_before(tokens)[..., None]
    assert torch.allclose(mixer(u, tokens=tokens), expected, atol=1e-12)
    saved = dense.flops(N) - mixer.flops(N, torch.zeros(1, N))
    assert saved == 2 * N * D * D + 2 * N * (N + 1) * D  # the last projection and all pairs


@pytest.mark.parametrize("selection", SELECTIONS)
def test_causal_at_test_time(selection):
    mixer = make(selection).eval()
    u, tokens = sequences()
    y = mixer(u, tokens=tokens)
    for t in range(N - 1):
        later, other = u.clone(), tokens.clone()
        later[:, t + 1 :] += torch.randn(3, N - t - 1, D, dtype=torch.float64)
        other[:, t + 1 :] = 12 - other[:, t + 1 :]
        assert (mixer(later, tokens=other) - y)[:, : t + 1].abs().max() <= 1e-6


def test_a_router_in_training_looks_at_the_whole_sequence():
    """Why a test needs a threshold: with top-k an early row moves when a late one changes."""
    mixer = make("learned", k=3, noise=0.0)
    u, _ = sequences()
    early = mixer(u)[:, :4]
    later = u.clone()
    later[:, -3:] = 20 * mixer.select.router.weight[0]
    assert not torch.allclose(mixer(later)[:, :4], early, atol=1e-3)


def test_seen_before_by_hand_and_by_comparing_all_pairs():
    row = torch.tensor([[5, 0, 7, 5, 0, 7, 7]])
    assert seen_before(row)[0].tolist() == [False, False, False, True, False, True, True]
    assert seen_before(row, blank=None)[0].tolist() == [False] * 3 + [True] * 4
    _, tokens = sequences(40, 20)
    earlier = torch.ones(40, 40).tril(-1).bool()
    pairs = ((tokens[:, :, None] == tokens[:, None]) & earlier).any(2)
    assert torch.equal(seen_before(tokens), pairs & (tokens != 0))


def test_random_keeps_a_share_p_anew_in_training_and_the_same_at_test():
    u = torch.zeros(64, 100, D, dtype=torch.float64)
    for p in (0.0, 0.25, 1.0):
        mixer = make("random", p=p)
        assert mixer.select(u).mean().item() == pytest.approx(p, abs=0.02)
    mixer = make("random")
    draws = []
    for _ in range(2):
        mixer(u)
        draws.append(mixer.last_selection)
    assert not torch.equal(*draws)
    mixer.eval()
    assert torch.equal(mixer.select(u), mixer.select(u))
    assert not torch.equal(mixer.select(u), make("random", seed=1).eval().select(u))


def test_the_router_keeps_k_in_training_and_learns_a_threshold():
    u, _ = sequences(N, 50)
    mixer = make("learned", k=6, noise=0.5, soft_steps=2)
    for step in range(60):
        mixer(u)
        rows = (mixer.last_selection != 0).sum(1)
        assert (rows == (N if step < 2 else 6)).all()
    f = mixer.eval().select(u)
    clean = mixer.select.router(u)[..., 0]
    ordered = clean.flatten().sort(descending=True).values
    border = (ordered[6 * 50 - 1] + ordered[6 * 50]) / 2
    assert mixer.select.threshold.item() == pytest.approx(border.item(), abs=0.01)
    assert torch.equal(f != 0, clean >= mixer.select.threshold)
    assert torch.equal(f[f != 0], clean.sigmoid()[f != 0])


@pytest.mark.parametrize("scale", [1, 200])
@pytest.mark.parametrize("k", [5, 16, 64])
def test_as_many_rows_are_kept_at_test_as_it_says(k, scale):
    """Also where nearly all gates are 0 or 1 to the last digit."""
    generator = torch.Generator().manual_seed(0)
    mixer = SparseAttention(D, selection="learned", k=k)
    mixer.select.router.weight.data = scale * torch.randn(1, D, generator=generator) / 4

    def batch() -> torch.Tensor:  # sequences differ: some have large logits throughout
        u = torch.randn(32, 128, D, generator=generator)
        return u + torch.randn(32, 1, D, generator=generator)

    with torch.no_grad():
        for _ in range(60):
            mixer.select(batch())
        mixer.eval()
        kept = torch.cat([(mixer.select(batch()) != 0).sum(1) for _ in range(40)]).double()
    assert kept.mean().item() == pytest.approx(k, rel=0.12)
    assert kept.std() > 1, "on average, not in each sequence"


def test_a_sequence_shorter_than_k_keeps_all_its_rows():
    u, _ = sequences(4)
    mixer = make("learned", k=6)
    y = mixer(u)
    assert (mixer.last_selection != 0).all()
    assert torch.allclose(y, by_definition(mixer, u, mixer.last_selection))
    assert (mixer.eval().select(u) != 0).all(), "the latest border, not a mean with the first"


def test_a_threshold_survives_short_sequences_in_between():
    (long, _), (short, _) = sequences(N, 50), sequences(4)
    mixer = make("learned", k=6, noise=0.0)
    mixer(short)
    mixer(long)
    kept = (mixer.eval().select(long) != 0).sum(1).double().mean().item()
    assert kept == pytest.approx(6, abs=0.1)


def test_no_row_selected_is_no_row_of_output():
    u, tokens = sequences()
    u.requires_grad_()
    y = make("programmatic")(u, tokens=torch.zeros_like(tokens))
    assert y.shape == u.shape and not y.any()
    y.sum().backward()
    assert not u.grad.any()


def test_the_auxiliary_loss_by_hand():
    f = torch.tensor([[0.9, 0.8, 0.7, 0.6], [0.5, 0.1, 0.1, 0.0]])
    assert auxiliary_loss(f, 2).item() == pytest.approx((3.0 - 2) / 4 / 2)  # one row is below k
    assert auxiliary_loss(f, 3).item() == pytest.approx(0.0, abs=1e-7)


def test_the_auxiliary_loss_joins_the_training_loss_and_nothing_else():
    layers = (layer("base_conv"), layer("sparse_attention", selection="learned", k=2))
    model = LanguageModel(ModelConfig(64, 16, layers))
    batch = MQAR(32, 4, 64).sample(4, seed=0)
    loss = batch_loss(model, batch.inputs, batch.labels)
    router = model.mixers[1].select.router
    extra = model.auxiliary_loss()
    assert 0 < extra.item() < loss.item()
    (through_loss,) = torch.autograd.grad(extra, router.bias, retain_graph=True)
    assert through_loss.item() > 0, "a smaller bias keeps fewer rows"
    loss.backward()
    assert router.weight.grad.abs().max() > 0
    model.eval()
    model(batch.inputs)
    assert model.auxiliary_loss() == 0
    plain = LanguageModel(ModelConfig(64, 16, (layer("base_conv"), layer("attention"))))
    batch_loss(plain, batch.inputs, batch.labels)
    assert plain.auxiliary_loss() == 0


@pytest.mark.parametrize("selection", ["random", "programmatic", "learned"])
def test_gradients(selection):
    mixer = make(selection, **({"k": 6} if selection == "learned" else {})).eval()
    u, tokens = sequences(7, 2)
    assert torch.autograd.gradcheck(
        lambda x: mixer(x, tokens=tokens), (u.requires_grad_(),), fast_mode=True
    )


@pytest.mark.parametrize(("selection", "soft_steps"), [("learned", 0), ("learned", 9)])
def test_the_router_learns_from_the_rows_it_keeps(selection, soft_steps):
    mixer = make(selection, k=3, noise=0.0, soft_steps=soft_steps)
    u, _ = sequences()
    (grad,) = torch.autograd.grad(mixer(u).sum(), mixer.select.router.weight)
    y = by_definition(mixer, u, torch.ones(3, N)).sum(2)
    gate = mixer.last_selection
    slope = (y * gate * (1 - gate))[..., None] * u
    assert torch.allclose(grad[0], slope.sum((0, 1)), atol=1e-9)


@pytest.mark.parametrize("selection", ["random", "programmatic", "learned"])
def test_rows_that_are_not_selected_are_not_computed(selection):
    """Fewer rows reach the projections and the scores, in training and at test."""
    mixer = make(selection, **{"learned": {"k": 5}, "random": {"p": 0.2}}.get(selection, {}))
    u, tokens = sequences()
    seen = {}
    for name in ("query", "key", "out"):
        module = getattr(mixer, name)
        module.register_forward_hook(lambda _, args, y, name=name: seen.update({name: y.shape[1]}))
    for training in (True, False):
        mixer.train(training)
        mixer(u, tokens=tokens)
        most = int((mixer.last_selection != 0).sum(1).max())
        assert seen == {"query": most, "key": N, "out": most} and most < N


def test_what_an_idle_query_holds_does_not_matter():
    u, tokens = sequences()
    mixer = make("programmatic")
    y = mixer(u, tokens=tokens)
    mixer.query.register_forward_hook(poison_unused := PoisonUnused(seen_before(tokens)))
    assert torch.equal(mixer(u, tokens=tokens), y)
    assert poison_unused.poisoned > 0


class PoisonUnused:
    """NaN in the queries beyond the number of rows that a sequence selected."""

    def __init__(self, selected: torch.Tensor):
        self.counts, self.poisoned = selected.sum(1), 0

    def __call__(self, module, args, q):
        unused = torch.arange(q.shape[1]) >= self.counts[:, None]
        self.poisoned += unused.sum().item()
        return q.masked_fill(unused[..., None], 1e30)


def test_flops_by_rows():
    n, dense = 20, Attention(D, num_heads=2)
    assert make("full").flops(n) == dense.flops(n)
    assert make("random", p=1.0).flops(n) == dense.flops(n)
    none, last = torch.zeros(1, n), torch.zeros(2, n)
    last[0, -1] = 0.3
    mixer = make("programmatic")
    assert mixer.flops(n, none) == 4 * n * D * D  # keys and values
    row = 4 * D * D + 4 * n * D  # query and last projection; scores and sum over n tokens
    assert mixer.flops(n, last) == mixer.flops(n, none) + row // 2
    assert mixer.flops(n) == dense.flops(n), "any row may hold a repeat"
    router = 2 * n * D
    half = make("learned", k=10).flops(n) - router - mixer.flops(n, none)
    assert half == (dense.flops(n) - mixer.flops(n, none)) // 2
    assert make("learned", k=50).flops(n) == dense.flops(n) + router


@pytest.mark.parametrize("selection", SELECTIONS)
def test_a_selection_with_its_options_at_their_defaults(selection):
    """Seeds may be given to every layer; and what is learned stands after the projections."""
    made = SparseAttention(D, selection=selection, seed=3)
    torch.manual_seed(0)
    one = SparseAttention(D, selection=selection)
    torch.manual_seed(0)
    plain = Attention(D)
    for (name, x), (same, y) in zip(one.named_parameters(), plain.named_parameters(), strict=False):
        assert name == same and torch.equal(x, y)
    assert type(made.select) is SELECTIONS[selection]
    mixer = made.eval()
    u, tokens = sequences()
    mixer.float()(u.float(), torch.zeros(3, 0, dtype=torch.int64), tokens)
    share = {"full": 1, "programmatic": 1, "random": 0.5, "learned": 16 / 40}[selection]
    assert made.select.expected_rows(40) == share * 40


def test_the_state_is_that_of_attention():
    assert make("learned").state_size(50) == Attention(D).state_size(50) == 2 * D * 50


@pytest.mark.parametrize(
    ("make_it", "named"),
    [
        (lambda: SparseAttention(8, selection="some"), "selection = 'some'"),
        (lambda: SparseAttention(8, selection="random", p=1.5), "p = 1.5: must be a probability"),
        (lambda: SparseAttention(8, selection="random", p=-0.1), "p = -0.1: must be a prob"),
        (lambda: SparseAttention(8, selection="learned", k=0), "k = 0: must be an integer >= 1"),
        (lambda: SparseAttention(8, selection="learned", noise=-1.0), "noise = -1.0: must be at"),
        (lambda: SparseAttention(8, selection="learned", soft_steps=-1), "soft_steps = -1: must"),
        (lambda: SparseAttention(8, seed=0.5), "seed = 0.5: must be an integer in 0 .. 2**32 - 1"),
        (lambda: SparseAttention(8, k=3), "k = 3: must be left out: selection = 'full' has no k"),
        (lambda: SparseAttention(8, blank=None), "blank = None: must be left out"),
        (lambda: SparseAttention(8, selection="random", noise=0.0), "noise = 0.0: must be left"),
        (lambda: SparseAttention(8, selection="learned", p=0.1), "p = 0.1: must be left out"),
        (
            lambda: SparseAttention(8, selection="programmatic", soft_steps=9),
            "soft_steps = 9: must be left out: selection = 'programmatic' has no soft_steps",
        ),
        (
            lambda: SparseAttention(8, selection="programmatic")(
                torch.zeros(1, 3, 8), tokens=torch.zeros(3, dtype=torch.int64)
            ),
            "tokens shape = (3,)",
        ),
        (
            lambda: SparseAttention(8, selection="programmatic")(torch.zeros(1, 3, 8)),
            "tokens = None",
        ),
    ],
)
def test_bad_options_name_the_argument(make_it, named):
    with pytest.raises(ValueError) as error:
        make_it()
    assert named in str(error.value)


@pytest.mark.parametrize("selection", SELECTIONS)
def test_input_of_another_width_is_named_whatever_selects(selection):
    mixer = SparseAttention(8, selection=selection)
    with pytest.raises(ValueError, match=r"^u shape = \(2, 5, 7\): must be \(B, N, 8\)"):
        mixer(torch.zeros(2, 5, 7), tokens=torch.zeros(2, 5, dtype=torch.int64))


def test_a_model_hands_over_its_tokens():
    layers = (layer("base_conv"), layer("sparse_attention", selection="programmatic"))
    model = LanguageModel(ModelConfig(64, 16, layers)).double()
    batch = MQAR(32, 4, 64).sample(3, seed=0)
    whole = model(batch.inputs)
    picked = model(batch.inputs, batch.positions)
    assert torch.allclose(picked, torch.take_along_dim(whole, batch.positions[..., None], 1))
    model.mixers[1].select = Full()
    assert torch.allclose(model(batch.inputs, batch.positions), picked), "questions are repeats"
    assert not torch.allclose(model(batch.inputs), whole)


@pytest.fixture(scope="module")
def table():
    return results.load(TABLE)


def test_the_table_holds_the_whole_grid(table):
    grid = synthetic_presets.hybrids_laptop()
    assert sweep.finished(TABLE, grid) == {run.id for run in grid}
    cells = plots.spread(table)
    assert (cells["count"] == 3).all() and cells.index.tolist() == list(range(len(cells)))
    assert results.provenance(TABLE)["commands"]


def test_what_the_table_says(table):
    worst, median = (table.groupby("mixer")["accuracy"].agg(f) for f in ("min", "median"))
    assert table.loc[table["mixer"] == "base_conv", "accuracy"].max() < 0.3
    assert worst["full"] >= 0.99 and worst["programmatic"] >= 0.99
    assert median["learned 16"] >= 0.95
    climb = [median[f"learned {k}"] for k in (8, 12, 16)]
    assert all(b > a + 0.05 for a, b in itertools.pairwise(climb))
    for p in (0.25, 0.5, 0.75):
        assert median[f"random {p}"] == pytest.approx(p, abs=0.05)
    windows = [median[f"window {w}"] for w in (8, 16, 32)]
    assert windows[0] < 0.1 < windows[1] < windows[2] < 0.9


@pytest.fixture(scope="module")
def trained() -> LanguageModel:
    (run,) = [r for r in synthetic_presets.hybrids(0) if r.mixer == "full"]
    model = LanguageModel(run.model)
    assert train(model, run.task, run.train).accuracy >= 0.99
    return model


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.75])
def test_random_rows_answer_their_share_of_the_questions(trained, p):
    mixer = trained.mixers[1]
    mixer.select = Random(p)
    assert accuracy(trained, MQAR(64, 8, 256).sample(500, seed=9)) == pytest.approx(p, abs=0.05)


def test_programmatic_rows_are_an_eighth_and_answer_all(trained):
    trained.mixers[1].select = Programmatic()
    unseen = MQAR(64, 8, 256).sample(500, seed=9)
    assert accuracy(trained, unseen) >= 0.99
    assert seen_before(unseen.inputs).double().mean() == 1 / 8


@pytest.mark.training
def test_a_fresh_learned_run_gives_what_the_table_says(table):
    (run,) = [r for r in synthetic_presets.hybrids(1) if r.mixer == "learned 16"]
    row = table[table["run"] == run.id].iloc[0]
    assert run.execute()["accuracy"] == pytest.approx(row["accuracy"], abs=0.03)
