"""What operations hand to their kernels: all of it, in one piece. Here the definition answers."""

import pytest
import torch

from zoology_teach.kernels import (
    dispatch,
    flash_attention,
    interpreter,
    long_conv,
    scan,
    short_conv,
    sparse_attention,
)

pytestmark = pytest.mark.skipif(not interpreter.HAS_TRITON, reason="published for Linux only")


def draw(*shape):
    """Numbers that do not lie one after another in memory."""
    return torch.randn(*reversed(shape)).permute(*reversed(range(len(shape))))


def convolves(u, filter, bias, gate, y, *_):
    y.copy_(short_conv.reference(u, filter, bias, gate))


def convolves_long(u, h, y, *_):
    y.copy_(long_conv.reference(u, h))


def scans(a, x, s0, s, *_):
    s.copy_(scan.reference(a, x, s0))


def attends(q, k, v, out, lse, n, window):
    out.copy_(flash_attention.reference(q, k, v, window))


def attends_in_order(q, k, v, at, order, out, *_):
    positions = at.gather(1, order.long().argsort(1))
    out.copy_(sparse_attention.reference(q, k, v, positions))


AT = torch.tensor([[4, 0, -1], [1, 3, 2]])
HEADS = [(2, 2, 5, 3)] * 3
CASES = {
    "short": (short_conv, "short_conv", convolves, [(2, 5, 3), (3, 2)], ()),
    "short, gated": (
        short_conv, "short_conv", convolves, [(2, 5, 3), (3, 2), (3,), (2, 5, 3)], (),
    ),
    "long": (long_conv, "long_conv", convolves_long, [(2, 3, 5), (3, 5)], ()),
    "long, of 16": (long_conv, "long_conv", convolves_long, [(2, 3, 16), (3, 16)], ()),
    "scan": (scan, "linear_scan", scans, [(2, 5, 3), (2, 5, 3)], ()),
    "scan on": (scan, "linear_scan", scans, [(2, 5, 3), (2, 5, 3), (2, 3)], ()),
    "all rows": (flash_attention, "attention", attends, HEADS, ()),
    "a window": (flash_attention, "attention", attends, HEADS, (2,)),
    "some rows": (
        sparse_attention, "sparse_attention", attends_in_order,
        [(2, 2, 3, 3), (2, 2, 5, 3), (2, 2, 5, 3)], (AT,),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_kernel_is_given_all_that_it_needs(case, monkeypatch):
    module, name, answers, shapes, more = CASES[case]
    given, function = [], getattr(module, name)
    torch.manual_seed(0)
    inputs = [draw(*shape) for shape in shapes]
    want = function(*inputs, *more, impl="reference")

    def launch(kernel, grid, *arguments, **fixed):
        given.extend(x for x in arguments if isinstance(x, torch.Tensor))
        assert all(isinstance(n, int) and n > 0 for n in grid)
        answers(*arguments)

    monkeypatch.setattr(module, "launch", launch)
    monkeypatch.setattr(dispatch, "interpreting", lambda: True)
    found = function(*inputs, *more, impl="triton")
    assert torch.allclose(found, want, atol=1e-5) and found.shape == want.shape
    assert given and all(x.is_contiguous() for x in given)
    if module is long_conv:
        assert {x.shape[-1] for x in given} == {16}, "rows begin at a multiple of 16 numbers"
