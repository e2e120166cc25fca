"""`check` in a notebook: a reason for whatever a function does, and no traceback."""

import pytest
import torch

from zoology_teach.grading import check
from zoology_teach.grading.ladder import Exercise, expect


@pytest.mark.parametrize(
    "answer",
    [
        lambda *given: given[0].to("meta"),
        lambda *given: given[0].to_sparse(),
        lambda *given: torch.ones(2, dtype=torch.complex64),
        lambda *given: 10**400,
    ],
)
@pytest.mark.parametrize("exercise", ["02.a", "04.b"])
def test_an_answer_that_no_rung_foresaw_is_a_failed_rung(exercise, answer):
    report = check(exercise, answer)
    assert report.earned < report.exercise.points
    assert all(outcome.reason for outcome in report.outcomes if not outcome.earned)


def test_the_reason_says_that_the_answer_cannot_be_judged():
    report = check("02.a", lambda *given: given[0].to("meta"))
    said = [outcome.reason for outcome in report.outcomes]
    assert any("(your answer cannot be judged: RuntimeError)" in reason for reason in said), said


def test_the_inputs_are_drawn_on_the_cpu_whatever_the_default_device_is():
    seen = []

    def note(*given):
        seen.extend(x.device.type for x in given if isinstance(x, torch.Tensor))

    with torch.device("meta"):
        report = check("02.a", note)
        assert torch.ones(1).is_meta, "what was the default is again"
    assert set(seen) == {"cpu"} and report.earned == 0


def test_a_function_that_exits_has_raised():
    (first, *_) = check("02.a", lambda *given: exit()).outcomes
    assert first.reason == "your function raised SystemExit: None"


def test_rungs_are_added_in_order_under_names_of_their_own():
    made = Exercise("99.z", "f", "Title", minutes=1, difficulty=1)

    def test(call, generator):
        pass

    assert made.rung("one", 2, "mistake")(test) is test
    made.rung("two", 3, "another")(test)
    assert [(r.name, r.points, r.mistake, r.test) for r in made.rungs] == [
        ("one", 2, "mistake", test), ("two", 3, "another", test),
    ]  # fmt: skip
    assert made.points == 5
    with pytest.raises(ValueError, match=r"rung name = 'one': must be new in 99\.z"):
        made.rung("one", 1, "once more")


def test_nan_is_right_nowhere():
    nan = torch.tensor([1.0, float("nan")])
    expect(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0]))
    for wrong, right in ((nan, nan), (nan, torch.ones(2)), (torch.ones(2), nan)):
        with pytest.raises(AssertionError, match=r"at \[1\] you return"):
            expect(wrong, right)
