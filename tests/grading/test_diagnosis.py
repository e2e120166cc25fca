"""What a message says of a wrong answer: the call, the first wrong number, the mistake in it."""

import pytest
import torch

from zoology_teach.grading import check
from zoology_teach.grading.diagnosis import called, common_mistake, exchanged, written
from zoology_teach.grading.ladder import expect, expect_number, expect_shape, explained

RIGHT = torch.tensor([[1.0, 2.0, 4.0], [3.0, 8.0, 5.0], [9.0, 7.0, 6.0]])
LABELS = torch.tensor([[7, 3, 9, 5, 4], [2, 8, 6, 1, 0]])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (2 * RIGHT, "what you return is 2 times that"),
        (RIGHT / 3, "what you return is 0.3333 times that"),
        (-RIGHT, "the sign is the other one"),
        (RIGHT + 1.5, "every number is 1.5 too large"),
        (RIGHT - 1, "every number is 1 too small"),
        (RIGHT.mT, "it is the transpose of that"),
        (RIGHT.roll(1, 0), "yours stands one position late in dimension 0"),
        (RIGHT.roll(-1, 1), "yours stands one position early in dimension 1"),
        (RIGHT.flip(0), "these are the right numbers in another order"),
        (RIGHT.sort(1).values, "these are the right numbers in another order"),
    ],
)
def test_a_common_mistake_is_recognised(wrong, said):
    assert common_mistake(wrong, RIGHT) == said
    with pytest.raises(AssertionError, match=f"you return .*, expected .*; {said}"):
        expect(wrong, RIGHT)


def test_labels_one_position_late():
    late = torch.cat([torch.full((2, 1), -100), LABELS[:, :-1]], dim=1)
    assert common_mistake(late, LABELS) == "yours stands one position late in dimension 1"


COUNTED = torch.arange(24.0).reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("wrong", "right", "said"),
    [
        ([7, 1, 2, 3], [1, 2, 3, 1], "yours stands one position late in dimension 0"),
        ([[7, 7], [1, 2], [3, 4], [5, 6]], [[1, 2], [3, 4], [5, 6], [7, 9]],
         "yours stands one position late in dimension 0"),
        (COUNTED.flip(0), COUNTED, "these are the right numbers in another order"),
        ([3, 1, 2], [1, 2, 3], "these are the right numbers in another order"),
        ([2, 1, 1], [1, 2, 1], ""),
        ([1.37, 2.74], [1, 2], "what you return is 1.37 times that"),
    ],
)  # fmt: skip
def test_few_numbers_and_other_shapes(wrong, right, said):
    assert common_mistake(torch.as_tensor(wrong), torch.as_tensor(right)) == said


@pytest.mark.parametrize(
    "wrong",
    [
        RIGHT + torch.eye(3),
        RIGHT * torch.nan,
        torch.zeros(3, 3),
        torch.full((3, 3), torch.inf),
        RIGHT.square(),
    ],
)
def test_any_other_mistake_gets_no_name(wrong):
    assert common_mistake(wrong, RIGHT) == ""


def test_no_pattern_is_seen_in_what_agrees_by_chance():
    bits = torch.tensor([[0, 0, 1, 0, 1]]).bool()
    assert common_mistake(bits.roll(1), bits) == "" == common_mistake(~bits, bits)
    same = torch.full((4,), 2.0)
    assert common_mistake(same * 1.37, same) == "", "four times one number has no pattern"
    lone = torch.tensor([0.0, 2.0, 0.0])
    assert common_mistake(lone * 1.37, lone) == "", "nor has one number among zeros"
    assert common_mistake(lone * 3, lone) == "what you return is 3 times that"
    token = torch.tensor([2])
    assert common_mistake(token * 3, token) == "", "a token is no multiple of another"


@pytest.mark.parametrize(
    ("found", "expected", "said"),
    [
        (6.0, 12.0, "0.5 times"),
        (0.03, 3.0, "0.01 times"),
        (200, 2.0, "100 times"),
        (200.005, 2.0, "100 times"),
        (-3, 3.0, "the sign is the other one"),
    ],
)
def test_a_number_off_by_a_plain_factor(found, expected, said):
    with pytest.raises(AssertionError, match=said):
        expect_number(found, expected)


def test_a_number_that_is_just_wrong():
    with pytest.raises(AssertionError, match=r"^you return 5, expected 3$"):
        expect_number(5.0, 3.0)
    with pytest.raises(AssertionError, match=r"^you return 303, expected 3$"):
        expect_number(303.0, 3.0)


def test_exchanged_dimensions_and_other_kinds():
    assert exchanged((4, 3), (3, 4)) == "dimensions 0 and 1 are exchanged"
    assert exchanged((2, 5, 3), (2, 3, 5)) == "dimensions 1 and 2 are exchanged"
    assert exchanged((3, 2, 5, 7), (2, 3, 5, 7)) == "dimensions 0 and 1 are exchanged"
    assert exchanged((4, 4), (3, 4)) == exchanged((12,), (3, 4)) == ""
    with pytest.raises(AssertionError, match="expected \\(3, 4\\): dimensions 0 and 1 are"):
        expect_shape(torch.zeros(4, 3), (3, 4))
    with pytest.raises(AssertionError, match=r"^you return a int, expected a tensor$"):
        expect(3, torch.tensor(3))
    with pytest.raises(AssertionError, match=r"^you return a list, expected a tensor$"):
        expect([1, 2], torch.tensor([1, 2]))


def test_a_call_reads_as_it_is_typed():
    tokens = torch.tensor([[5, 0, 7]])
    assert called("f", (tokens, 0), {"rate": 0.25}) == "f([[5, 0, 7]], 0, rate=0.25)"
    floats = torch.tensor([16.0, 1e-5, 3.14159, 0.1, 300.25, torch.inf, torch.nan])
    assert written(floats) == "[16, 1e-05, 3.14159, 0.1, 300.25, inf, nan]"
    assert written([True, None, "a", (1, 2.5)]) == "[True, None, 'a', (1, 2.5)]"
    assert written(torch.empty(0)) == "[]" and written(torch.tensor(7)) == "7"


def test_long_runs_are_counted():
    assert written(torch.zeros(8)) == "[0, 0, 0, 0, 0, 0, 0, 0]"
    assert written(torch.zeros(40)) == "[0] * 40"
    around = torch.tensor([1.0, 2.0] + [-100.0] * 20 + [3.0])
    assert written(around) == "[1, 2] + [-100] * 20 + [3]"
    assert written(torch.full((40, 30), torch.nan)) == "[[nan] * 30] * 40"


def test_of_a_long_call_the_largest_tensors_are_given_by_their_shape():
    large, small = torch.rand(40, 30), torch.arange(3)
    assert called("f", (small, large), {}) == "f([0, 1, 2], <float32 of shape (40, 30)>)"
    assert called("f", (torch.zeros(9000),), {}) == "f(<float32 of shape (9000,)>)"
    halves = torch.arange(100) + 0.5
    assert called("f", (halves,) * 5, {}).count("of shape (100,)") == 4
    endless = called("f", ("a" * 2000,), {})
    assert len(endless) < 920 and endless.endswith(" …)")


def test_a_message_is_one_line_whatever_is_raised_or_quoted():
    def loud(tokens):
        raise ValueError("\n\n  <b>first</b>\nsecond" + "!" * 10**5)

    def silent(tokens):
        raise AssertionError

    (said,) = [text for _, text in explained(check("02.a", loud).outcomes) if text]
    assert "your function raised ValueError: <b>first</b> Tried: answers([[" in said
    assert "&lt;b&gt;first" in check("02.a", loud)._repr_html_()
    (said,) = [text for _, text in explained(check("02.a", silent).outcomes) if text]
    assert "your function raised AssertionError Tried: answers([[" in said
    endless = type("A\nB" + "x" * 10**5, (), {})()
    (said,) = [text for _, text in explained(check("02.a", lambda t: endless).outcomes) if text]
    assert "you return a A Bxxx" in said and "\n" not in said and len(said) < 1600


def test_the_most_that_is_written_of_a_call():
    assert called("f", ("x" * 898,), {}) == f"f('{'x' * 898}')"
    assert called("f", ("x" * 899,), {}) == f"f('{'x' * 899} …)"
    assert written(torch.arange(4096)).startswith("[0, 1, 2, ")
    assert written(torch.arange(4097)) == "<int64 of shape (4097,)>"
    assert [written(x) for x in (9_999_999.0, 1e7, -1e7)] == ["9999999", "1e+07", "-1e+07"]
    assert [written(x) for x in (len, torch.float32, {1})] == ["len", "dtype", "set"]


def shifted(tokens):
    labels = torch.full_like(tokens, -100)
    labels[:, 1:] = tokens[:, :-1]
    return labels


def test_only_the_first_lost_rung_is_explained():
    report = check("02.a", shifted)
    first, *others = [o for o in report.outcomes if not o.earned]
    assert others and all(o.reason for o in others)
    said = [text for _, text in explained(report.outcomes) if text]
    assert said == [f"{first.reason} Tried: {first.call}"]
    assert first.call.startswith("answers([[")
    assert repr(report).count("Tried:") == report._repr_html_().count("Tried:") == 1
    for other in others:
        assert other.rung in repr(report)
        assert other.reason == first.reason or other.reason not in repr(report)


def test_what_is_not_written_is_said_once():
    def stub(tokens):
        raise NotImplementedError("your code here")

    report = check("02.a", stub)
    assert repr(report).count("not written yet") == 1 and "Tried" not in repr(report)
    assert report._repr_html_().count("not written yet") == 1


def test_an_error_comes_with_the_call_that_raised_it():
    report = check("02.a", lambda tokens: tokens[:, 99])
    assert "your function raised IndexError" in repr(report)
    assert "Tried: answers([[" in repr(report)


def test_nothing_is_no_factor_of_a_number():
    with pytest.raises(AssertionError, match=r"^you return 0, expected 3$"):
        expect_number(0.0, 3.0)
    with pytest.raises(AssertionError, match=r"^at \[0\] you return 0, expected 1$"):
        expect(torch.zeros(2), torch.ones(2))
