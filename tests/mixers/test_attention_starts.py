"""Rotary positions, and the start whose addressing is that of an induction head."""

import pytest
import torch

from zoology_teach.mixers.attention import Attention, rotate
from zoology_teach.mixers.sparse_attention import SparseAttention


def attention(**options) -> Attention:
    torch.manual_seed(0)
    return Attention(16, **options).double()


def test_a_product_of_turned_rows_depends_on_their_distance_only():
    torch.manual_seed(0)
    q, k = torch.randn(2, 1, 1, 1, 8, dtype=torch.float64).expand(2, 1, 1, 12, 8)
    scores = (rotate(q) @ rotate(k).mT)[0, 0]
    for lag in range(-5, 6):
        diagonal = scores.diagonal(lag)
        assert torch.allclose(diagonal, diagonal[:1].expand_as(diagonal))
    assert scores[5, 5] != pytest.approx(scores[5, 3].item(), abs=1e-6)
    moved = rotate(q, torch.arange(12)[None] + 7) @ rotate(k, torch.arange(12)[None] + 7).mT
    assert torch.allclose(moved[0, 0], scores)
    assert torch.allclose(rotate(q).norm(dim=3), q.norm(dim=3))


def test_pairs_are_turned_by_their_own_angles():
    x = torch.tensor([[[[1.0, 0, 0, 0]]]]).expand(1, 1, 3, 4)  # the first of the two pairs
    turned = rotate(x)[0, 0]
    angles = torch.arange(3.0)
    assert torch.allclose(turned[:, 0], angles.cos()) and torch.allclose(turned[:, 2], angles.sin())
    precise = rotate(torch.ones(1, 1, 2000, 8, dtype=torch.float64))[0, 0, -1]
    angle = 1999 * 10000.0 ** (-torch.arange(4, dtype=torch.float64) / 4)
    assert torch.allclose(precise[:4], angle.cos() - angle.sin(), rtol=0, atol=1e-11)
    slow = rotate(torch.tensor([[[[0.0, 1, 0, 0]]]]).expand(1, 1, 3, 4))[0, 0]
    assert torch.allclose(slow[:, 3], (angles / 100).sin())


def test_rotary_attention_knows_the_order_of_what_it_sees():
    u = torch.randn(1, 6, 16, dtype=torch.float64)
    swapped = u[:, [1, 0, 2, 3, 4, 5]]
    blind, seeing = attention(init="identity"), attention(init="identity", rope=True)
    assert torch.allclose(blind(u)[:, -1], blind(swapped)[:, -1])
    assert not torch.allclose(seeing(u)[:, -1], seeing(swapped)[:, -1])


@pytest.mark.parametrize("options", [{"rope": True}, {"short_conv": 3, "init": "induction"}])
def test_rows_asked_for_are_those_of_the_whole(options):
    mixer, u = attention(num_heads=2, **options), torch.randn(3, 9, 16, dtype=torch.float64)
    positions = torch.tensor([[8, 0], [3, 4], [5, 5]])
    expected = mixer(u).take_along_dim(positions[..., None], dim=1)
    assert torch.allclose(mixer(u, positions), expected)
    changed = u.clone()
    changed[:, 6:] += 1
    assert torch.allclose(mixer(changed)[:, :6], mixer(u)[:, :6])


@pytest.mark.parametrize("kind", ["attention", "full", "programmatic"])
def test_at_the_start_a_token_finds_what_followed_its_earlier_occurrence(kind):
    d, start = 256, {"short_conv": 3, "init": "induction"}
    torch.manual_seed(0)
    sparse = {"full": {}, "programmatic": {"blank": None}}.get(kind)
    sparse = {} if sparse is None else {"selection": kind, **sparse}
    mixer = (SparseAttention if sparse else Attention)(d, **start, **sparse)
    tokens = torch.tensor([[4, 1, 2, 3, 5, 6, 7, 1]])
    u = torch.randn(8, d)[tokens]
    mixer.value.weight.data = torch.eye(d)
    mixer.out.weight.data = torch.eye(d)
    ids = {"tokens": tokens} if sparse else {}
    copied = mixer(u, **ids)[0, -1]
    nearest = torch.cosine_similarity(copied, u[0], dim=1).argmax()
    assert tokens[0, nearest] == 2, "2 followed 1"


def test_selected_rows_are_those_of_full_attention():
    start = {"short_conv": 3, "init": "induction"}
    torch.manual_seed(0)
    sparse = SparseAttention(16, selection="programmatic", blank=None, **start).double()
    full = Attention(16, **start).double()
    full.load_state_dict(sparse.state_dict(), strict=False)
    tokens, u = torch.randint(0, 5, (2, 12)), torch.randn(2, 12, 16, dtype=torch.float64)
    y, f = sparse(u, None, tokens), sparse.last_selection
    assert 0 < f.sum() < f.numel()
    assert torch.allclose(y, f[..., None] * full(u))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"num_heads": 16, "rope": True}, "rope = True: must be False for heads of odd width"),
        ({"init": "induction"}, "short_conv = None: must be at least 2"),
        ({"init": "induction", "short_conv": 1}, "kernel_size = 1"),
        ({"init": "inductive"}, "init = 'inductive': must be 'usual'"),
    ],
)
def test_wrong_options_are_named(options, named):
    with pytest.raises(ValueError) as error:
        Attention(16, **options)
    assert named in str(error.value)


def test_turning_is_counted():
    assert Attention(16, rope=True).flops(10) - Attention(16).flops(10) == 6 * 10 * 16
