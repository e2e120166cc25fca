"""What the programs of a kernel read and write, as Triton's interpreter tells it."""

import pytest
import torch

from zoology_teach.kernels.interpreter import UNSPECIFIED, interpreting, tl, triton
from zoology_teach.kernels.trace import LOAD, STORE, traced, tracing

pytestmark = pytest.mark.skipif(not interpreting(), reason="compiled kernels tell no addresses")


@triton.jit
def copy_kernel(x, y, n, STRIDE: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y + i, tl.load(x + i * STRIDE, mask=i < n))


@triton.jit
def total_kernel(x, out, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.atomic_add(out, tl.sum(tl.load(x + i)))


def test_programs_and_addresses():
    x, y = torch.arange(64.0), torch.zeros(32)
    with tracing(x=x, y=y) as trace:
        copy_kernel[(2,)](x, y, 20, STRIDE=3, BLOCK=16)
    assert trace.grids == [(2, 1, 1)]
    read, wrote = trace.of("x"), trace.of("y", STORE)
    assert [a.program for a in read] == [a.program for a in wrote] == [0, 1]
    assert read[1].offsets[:4].tolist() == [48, 51, 54, 57]
    assert (read[1].offsets[4:] < -1000).all()  # switched off
    assert wrote[1].offsets.tolist() == list(range(16, 32))
    assert trace.images[1].view(-1)[:20].tolist() == y[:20].tolist() == [3 * i for i in range(20)]


def test_lines_of_128_bytes():
    x, y = torch.zeros(4096), torch.zeros(64)
    for stride, lines in ((1, [1, 1]), (2, [2, 2]), (32, [32, 32])):
        with tracing(x=x, y=y) as trace:
            copy_kernel[(1,)](x, y, 64, STRIDE=stride, BLOCK=64)
        assert trace.lines("x") == lines and trace.lines("y", STORE) == [1, 1]
    with tracing(x=x.bfloat16(), y=y) as trace:
        pass
    with pytest.raises(ValueError, match=r"name = 'z': must be one of \['x', 'y'\]"):
        trace.lines("z")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_a_masked_load_without_other_gives_nan(dtype):
    x, y = torch.ones(4, dtype=dtype), torch.zeros(4, dtype=dtype)
    with tracing(x=x, y=y) as trace:
        copy_kernel[(1,)](x, y, 3, STRIDE=1, BLOCK=4)
    assert y[:3].tolist() == [1, 1, 1] and y[3].isnan() and trace.unspecified_lanes == 1
    copy_kernel[(1,)](x, y, 3, STRIDE=1, BLOCK=4)
    assert y.tolist() == [1, 1, 1, 0]  # outside, the interpreter is as it was


def test_integers_have_no_nan():
    x, y = torch.ones(4, dtype=torch.int64), torch.zeros(4, dtype=torch.int64)
    with tracing(x=x, y=y):
        copy_kernel[(1,)](x, y, 3, STRIDE=1, BLOCK=4)
    assert y.tolist() == [1, 1, 1, UNSPECIFIED]


def test_an_atomic_sum_is_the_kernels_own():
    x, out = torch.arange(8.0), torch.zeros(1)
    with tracing(x=x, out=out) as trace:
        total_kernel[(2,)](x, out, BLOCK=4)
    assert trace.images[1].tolist() == out.tolist() == [28.0] and not trace.foreign


def test_what_no_kernel_wrote_is_told():
    x, y = torch.arange(4.0), torch.zeros(4)
    with tracing(x=x, y=y) as trace:
        copy_kernel[(1,)](x, y, 4, STRIDE=1, BLOCK=4)
        copy_kernel[(1,)](y, x, 4, STRIDE=1, BLOCK=4)  # what a kernel wrote it may read
        assert not trace.foreign
        y[2] = 7.0
        copy_kernel[(1,)](y, x, 4, STRIDE=1, BLOCK=4)
        copy_kernel[(1,)](torch.full((4,), 5.0), x, 4, STRIDE=1, BLOCK=4)
    assert trace.foreign[0] == (2, 0, 1, 2) and len(trace.foreign) == 5


def test_an_argument_has_room_on_both_sides():
    def reads_beyond(x, y):
        copy_kernel[(1,)](x[1:], y, 4, STRIDE=1, BLOCK=4)
        return y

    answer, told = traced(reads_beyond, torch.arange(4.0), torch.zeros(4))
    assert answer[:3].tolist() == [1, 2, 3] and answer[3].isnan()
    assert [0, 0, 0, 0, 4] in told["touched"].tolist() and told["foreign"] == []
    assert told["images"][0].tolist() == [0, 1, 2, 3]


FAR = 1 << 40  # numbers: no memory of this process lies there


@triton.jit
def far_kernel(x, y, far, HOW: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    if HOW == "load":
        tl.store(y + i, tl.load(x + i + tl.where(i > 1, far, 0)))
    elif HOW == "store":
        tl.store(y + i - tl.where(i > 1, far, 0), tl.load(x + i))
    elif HOW == "add":
        tl.atomic_add(y + i + tl.where(i > 1, far, 0), tl.load(x + i))
    else:
        tl.atomic_cas(y + i + far, tl.load(x + i), tl.load(x + i))


@pytest.mark.parametrize(
    ("how", "kind", "lanes", "left"),
    [
        ("load", LOAD, 2, [1, 1]),
        ("store", STORE, 2, [1, 1, 0, 0]),
        ("add", STORE, 2, [1, 1, 0, 0]),
        ("exchange", STORE, 4, [0, 0, 0, 0]),
    ],
)
def test_what_lies_in_no_tensor_is_neither_read_nor_written(how, kind, lanes, left):
    x, y = torch.ones(4), torch.zeros(4)
    with tracing(x=x, y=y) as trace:
        far_kernel[(1,)](x, y, FAR, HOW=how, BLOCK=4)
    assert [refused[:3] for refused in trace.refused] == lanes * [(0, 0, kind)]
    assert y[: len(left)].tolist() == left and y[len(left) :].isnan().all()


def test_beyond_a_tensor_alone_is_told_where():
    x = torch.zeros(4)
    with tracing(x=x) as trace:
        far_kernel[(1,)](x, x, FAR, HOW="store", BLOCK=4)
    assert trace.refused == [(0, 0, STORE, 0, 2 - FAR), (0, 0, STORE, 0, 3 - FAR)]


def test_a_tensor_of_the_launchers_own_is_a_kernels_too():
    def through_room(x, y):
        room = torch.zeros(4)
        copy_kernel[(1,)](x, room, 4, STRIDE=1, BLOCK=4)
        copy_kernel[(1,)](room, y, 4, STRIDE=1, BLOCK=4)
        return y

    answer, told = traced(through_room, torch.arange(4.0), torch.zeros(4))
    assert answer.tolist() == [0, 1, 2, 3] and told["refused"] == []


def test_the_interpreter_is_left_as_it_was_after_an_error():
    with pytest.raises(ZeroDivisionError), tracing(x=torch.ones(1)):
        raise ZeroDivisionError
    x, y = torch.ones(4), torch.zeros(4)
    copy_kernel[(1,)](x, y, 3, STRIDE=1, BLOCK=4)
    assert y.tolist() == [1, 1, 1, 0]


def test_where_kernels_are_compiled_their_launches_are_counted(monkeypatch):
    from zoology_teach.kernels import trace

    monkeypatch.setattr(triton.JITFunction, "run", lambda self, *a, grid, warmup: a[0] + 1)
    monkeypatch.setattr(trace, "interpreting", lambda: False)
    own = triton.JITFunction.run

    def launcher(x):
        return triton.JITFunction.run(None, x, grid=(2, 3), warmup=False)

    assert traced(launcher, 4) == (5, {"grids": [(2, 3)]})
    assert triton.JITFunction.run is own
    with pytest.raises(ValueError, match="kernels = 'compiled': must be interpreted"), tracing():
        pass
