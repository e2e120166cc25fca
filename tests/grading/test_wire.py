"""The wire: what is sent arrives, and anything else is a WireError that says what was wrong."""

import json
import math
import os
import socket

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from zoology_teach.grading.inside import channel, wire
from zoology_teach.grading.inside.bounds import REQUEST, Bounds, WireError
from zoology_teach.grading.inside.channel import greeted, pair, receive, send
from zoology_teach.grading.inside.wire import HEAD, MAGIC

BOUNDS = Bounds()
MANY = settings(max_examples=150, deadline=None)


def parts(frame: bytes) -> tuple[bytes, bytes]:
    """Header and body of a frame."""
    header, body = wire.lengths(frame[: HEAD.size], BOUNDS)
    rest = frame[HEAD.size :]
    assert len(rest) == header + body
    return rest[:header], rest[header:]


def there(value, bounds: Bounds = BOUNDS):
    """`value` as it arrives."""
    return wire.decode(*parts(wire.encode(value, BOUNDS)), bounds)


def same(a, b) -> bool:
    if isinstance(a, Tensor):
        is_plain = type(b) is Tensor and b.is_contiguous() and not b.requires_grad
        return is_plain and a.dtype == b.dtype and torch.equal(bits(a), bits(b))
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    return a == b


def bits(tensor: Tensor) -> Tensor:
    """All that `equal` should compare: the shape and the bytes, NaN or not."""
    data = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    return torch.cat([data.long(), torch.tensor([*tensor.shape, -1])])


@st.composite
def tensors(draw):
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    seed = draw(st.integers(0, 99))
    dtype = draw(st.sampled_from(list(wire.DTYPES.values())))
    numbers = 9 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    tensor = numbers.to(dtype)
    return tensor.transpose(0, -1) if draw(st.booleans()) and shape else tensor


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
plain = st.none() | st.booleans() | st.integers() | st.just(2**999) | st.floats() | text
values = st.recursive(
    plain | tensors(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.none() | st.booleans() | text, inner, max_size=4)
    ),
    max_leaves=20,
)


@MANY
@given(values)
def test_what_is_sent_arrives(value):
    assert same(value, there(value))


@MANY
@given(values, st.data())
def test_a_spoilt_frame_is_a_value_or_a_wire_error(value, data):
    frame = bytearray(wire.encode(value, BOUNDS))
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    arrives(bytes(frame[: data.draw(st.integers(0, len(frame)))]))


@MANY
@given(st.binary(max_size=200))
def test_any_bytes_are_a_wire_error(data):
    arrives(data)
    arrives(HEAD.pack(MAGIC, len(data), 0) + data)
    arrives(HEAD.pack(MAGIC, len(data) // 2, len(data) - len(data) // 2) + data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["tensor", "float", "tuple", "dict", "other", "x"]), inner, max_size=2
        )
    ),
    max_leaves=12,
)
listings = st.lists(
    st.tuples(
        st.sampled_from([*wire.DTYPES, "object", "float"]) | json_values,
        st.lists(st.integers(-1, 3) | st.just(2**62), max_size=3) | json_values,
    ),
    max_size=2,
)


@MANY
@given(json_values, listings | json_values, st.binary(max_size=40))
def test_any_description_is_a_value_or_a_wire_error(described, listed, body):
    header = json.dumps([described, listed]).encode()
    arrives(HEAD.pack(MAGIC, len(header), len(body)) + header + body)


def arrives(frame: bytes) -> None:
    """Have `frame` arrive on a socket: nothing but WireError or the end of it may be raised."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(frame)
        theirs.close()
        try:
            receive(ours, BOUNDS, 5)
        except EOFError:
            assert not frame
        except WireError as error:
            assert str(error)


def header(described: str, listed: str = "[]", body: bytes = b"") -> tuple[bytes, bytes]:
    return f"[{described}, {listed}]".encode(), body


WRONG = {
    "bare NaN": header("NaN"),
    "bare float": header("1.5"),
    "not JSON": (b"[1, 2", b""),
    "header that is not JSON": (b"\xff\xfe", b""),
    "no description": (b"7", b""),
    "other than one entry": header("{}"),
    "no known kind": header('{"pickle": "gASV"}'),
    "something nested": header("[" * 20 + "]" * 20),
    "RecursionError": header("[" * 9999 + "]" * 9999),
    "more than 20,000 items": header("[" + "0," * 20_000 + "0]"),
    "1,000 bits": header("9" * 400),
    "lone surrogate": header('"\\ud800"'),
    "float that is none": header('{"float": "0x1p99999"}'),
    "no pair": header('{"dict": [[1]]}'),
    "key twice": header('{"dict": [["a", 1], ["a", 2]]}'),
    "no plain value": header('{"dict": [[[1], 2]]}'),
    "not there or twice": header('{"tensor": 0}'),
    "tensor 0, not there": header('[{"tensor": 0}, {"tensor": 0}]', '[["int8", []]]', b"1"),
    "unknown dtype": header("1", '[["object", [1]]]', b"12345678"),
    "a shape that is none": header("1", '[["int8", [1,1,1,1,1,1,1,1,1]]]', b"1"),
    "a side that is none": header("1", '[["int8", [-1]]]', b"1"),
    "beyond all bounds": header("1", f'[["int8", [{2**39}, {2**39}, 0]]]'),
    "beyond the bytes sent": header("1", '[["float32", [2, 2]]]', bytes(15)),
    "belong to no tensor": header("1", '[["float32", [2, 2]]]', bytes(17)),
    "neither 0 nor 1": header("1", '[["bool", [2]]]', b"\1\2"),
    "more than 256 tensors": header("1", json.dumps([["int8", [0]]] * 257)),
}


@pytest.mark.parametrize("complaint", WRONG)
def test_the_error_names_what_was_wrong(complaint):
    with pytest.raises(WireError, match=complaint):
        wire.decode(*WRONG[complaint], BOUNDS)


class AlwaysEqual(Tensor):
    def __eq__(self, other):
        return torch.tensor(True)


def test_tensors_arrive_plain():
    x = torch.randn(3, 4, requires_grad=True)
    for odd in (
        x.T,
        x.as_subclass(AlwaysEqual),
        torch.nn.Parameter(x),
        x[:, ::2],
        x.expand(2, 3, 4),
    ):
        assert same(odd, there(odd)) and odd.shape == there(odd).shape
    assert same(torch.tensor([1 - 2j]), there(torch.tensor([1 + 2j]).conj()))


class Secret:
    pass


def test_other_objects_arrive_as_empty_ones_of_that_name():
    for odd in (Secret(), torch.float32, b"bytes", {1, 2}, torch.arange(3).numpy()):
        arrived = there(odd)
        assert type(arrived).__name__ == type(odd).__name__ and type(arrived) is not type(odd)


def looped() -> list:
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (torch.zeros(5 << 20), "20,971,520 bytes of tensors; at most 16,777,216 are read"),
        ([torch.zeros(3 << 20)] * 2, "12,582,912 bytes of tensors; at most 4,194,304 are read"),
        (torch.zeros(1).expand(1 << 40), "bytes of tensors"),
        (torch.zeros(3).to_sparse(), "only dense ones travel"),
        (torch.zeros(3, device="meta"), "without data"),
        (torch.zeros(3, dtype=torch.float8_e5m2), "dtype torch.float8_e5m2"),
        (list(range(20_001)), "more than 20,000 items"),
        (looped(), "nested more than 16 deep"),
        (2**1000, "1,000 bits"),
        ("x" * (1 << 20), "a description of"),
        ({(1, 2): 3}, "keys that do not travel"),
        ([torch.zeros(1)] * 257, "more than 256 tensors"),
    ],
)
def test_what_is_beyond_the_bounds_is_not_sent(value, complaint):
    with pytest.raises(WireError, match=complaint):
        wire.encode(value, BOUNDS)


def test_lengths_are_checked_before_anything_is_read():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(HEAD.pack(MAGIC, 9, 100 << 20))
        with pytest.raises(WireError, match="104,857,600 bytes of tensors"):
            receive(ours, BOUNDS, 5)


def test_waiting_ends():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(MAGIC)
        with pytest.raises(TimeoutError):
            receive(ours, BOUNDS, 0.1)


def test_what_the_grader_sends_may_be_larger():
    mib = 1024**2
    assert REQUEST == Bounds(header=16 * mib, body=64 * mib)
    inputs = torch.zeros(17 * mib, dtype=torch.uint8)
    assert len(wire.encode(inputs, REQUEST)) > 17 * mib
    with pytest.raises(WireError, match="17,825,792 bytes of tensors; at most 16,777,216 are read"):
        wire.encode(inputs, BOUNDS)


def test_a_time_that_is_over_is_over_though_a_value_is_there():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(wire.encode("late", BOUNDS))
        with pytest.raises(TimeoutError):
            receive(ours, BOUNDS, -1)
        assert receive(ours, BOUNDS, 5) == "late"


def test_where_the_kernel_does_not_say_who_sent_a_value_it_is_read_all_the_same(monkeypatch):
    monkeypatch.setattr(channel, "NAMES_ITS_SENDER", False)
    ours, theirs = pair()
    with ours, theirs:
        theirs.sendall(channel.GREETING)
        assert greeted(ours, 5) is None
        send(theirs, [1, torch.ones(2)], BOUNDS)
        assert same(receive(ours, BOUNDS, 5), [1, torch.ones(2)])
        theirs.close()
        with pytest.raises(EOFError):
            receive(ours, BOUNDS, 5)


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth - 1):
        value = [value]
    return value


ITEMS = BOUNDS.items - 1  # the list itself is one


@pytest.mark.parametrize(
    ("most", "more", "complaint"),
    [
        (nested(17), nested(18), "something nested more than 16 deep"),
        (2**1000 - 1, 2**1000, "an integer of more than 1,000 bits"),
        (1 - 2**1000, -(2**1000), "an integer of more than 1,000 bits"),
        ([0] * ITEMS, [0] * (ITEMS + 1), "more than 20,000 items"),
    ],
)
def test_the_most_that_travels_and_one_more(most, more, complaint):
    wider = Bounds(depth=99, items=99_999)
    assert there(most) == most
    with pytest.raises(WireError, match=complaint):
        wire.encode(more, BOUNDS)
    if isinstance(more, list):  # a sender that has lifted its own bounds
        with pytest.raises(WireError, match=complaint):
            wire.decode(*parts(wire.encode(more, wider)), BOUNDS)
    else:
        with pytest.raises(WireError, match=complaint):
            wire.decode(*header(str(more)), BOUNDS)


def test_floats_are_read_to_forty_characters():
    assert wire.decode(*header('{"float": "' + "0x1." + "0" * 33 + "p+1" + '"}'), BOUNDS) == 2.0
    with pytest.raises(WireError, match="a float that is none"):
        wire.decode(*header('{"float": "' + "0x1." + "0" * 34 + "p+1" + '"}'), BOUNDS)
    for value in (-5e-324, 1.7976931348623157e308, -math.inf):
        assert there(value) == value


def test_a_tensor_has_at_most_eight_dimensions():
    one = torch.ones([1] * 8)
    assert same(one, there(one))
    with pytest.raises(WireError, match="a shape that is none"):
        wire.decode(*parts(wire.encode(one[None], BOUNDS)), BOUNDS)


@pytest.mark.skipif(not hasattr(socket, "SO_PASSCRED"), reason="asks the kernel who sent what")
def test_what_another_process_writes_is_passed_over():
    ours, theirs = pair()
    with ours, theirs:
        theirs.sendall(b"h")
        sender = greeted(ours, 5)
        assert sender == os.getpid()
        theirs.sendall(wire.encode("first", BOUNDS)[:9])
        if os.fork() == 0:
            theirs.sendall(wire.encode("forged", BOUNDS) * 99)
            os._exit(0)
        os.wait()
        theirs.sendall(wire.encode("first", BOUNDS)[9:])
        assert receive(ours, BOUNDS, 5, sender) == "first"
        send(theirs, "second", BOUNDS)
        assert receive(ours, BOUNDS, 5, sender) == "second"
        with pytest.raises(TimeoutError):
            receive(ours, BOUNDS, 0.05, sender)
        theirs.sendall(wire.encode("anybody", BOUNDS))
        assert receive(ours, BOUNDS, 5) == "anybody"


def test_tensors_of_just_the_bytes_allowed_travel():
    exact = torch.ones(BOUNDS.body // 4)
    assert same(exact, there(exact))
    with pytest.raises(WireError, match=r"16,777,217 bytes of tensors; at most 16,777,216 are"):
        wire.encode(torch.ones(BOUNDS.body + 1, dtype=torch.uint8), BOUNDS)


@pytest.mark.skipif(not hasattr(socket, "SO_PASSCRED"), reason="asks the kernel who sent what")
def test_who_says_nothing_has_gone():
    ours, theirs = pair()
    with ours:
        theirs.close()
        with pytest.raises(EOFError):
            greeted(ours, 5)
