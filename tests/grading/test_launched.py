"""What is made of a kernel's accesses, as its process tells them: no kernel runs here."""

import re

import pytest
import torch

from zoology_teach.grading.launches import Launched, poisoned, size
from zoology_teach.kernels.trace import ATOMIC, LOAD, STORE

NAN = float("nan")
X = torch.arange(4.0)
TWICE = [0.0, 2.0, 4.0, 6.0, NAN, NAN]  # and room for two numbers more
ACCESSES = [  # launch, program, kind, tensor (x is 0, out is 1), offset
    *((0, p, LOAD, 0, 2 * p + i) for p in (0, 1) for i in (0, 1)),
    *((0, p, STORE, 1, 2 * p + i) for p in (0, 1) for i in (0, 1)),
]


def launched(accesses=ACCESSES, answer=TWICE, image=None, **told) -> Launched:
    """Two programs that write twice x, unless something else is told."""
    answer = torch.tensor(answer)
    told = {
        "grids": [(2, 1, 1)],
        "touched": torch.tensor(accesses).view(-1, 5),
        "images": [X, answer if image is None else torch.tensor(image)],
        "foreign": [],
        "refused": [],
    } | told
    return Launched(answer, told, {"n": 7, "x": X}, torch.full_like(answer, NAN))


def test_a_kernel_that_does_it_all():
    found = launched()
    found.expect(2 * X, share=2).expect_untouched()
    found.expect_read("x")
    shown = "2 programs; 0 read x 0-1, wrote out 0-1; 1 read x 2-3, wrote out 2-3"
    assert found.picture() == shown and found.hint() == ""
    again = [*ACCESSES, (1, 1, STORE, 1, 0)]  # the second launch may write what the first wrote
    launched(again, grids=[(2, 1, 1)] * 2).expect(2 * X, share=2)
    launched([*ACCESSES, (0, 1, ATOMIC, 1, 0)]).expect(2 * X, share=2)  # sums are no race


STORES = [a for a in ACCESSES if a[2] == STORE]
REFUSED = [
    ("no Triton kernel was launched", {"grids": []}),
    ("3 launches: let the programs of one grid do it", {"grids": [(1, 1, 1)] * 3}),
    ("no program stored a number in `out`", {"accesses": [a for a in ACCESSES if a[2] == LOAD]}),
    ("program 1 read x[3] after PyTorch had changed it", {"foreign": [(0, 1, 0, 3)]}),
    ("program 1 read beyond the end of x after", {"foreign": [(0, 1, 0, 4)]}),
    ("program 2 read a tensor that PyTorch had made", {"foreign": [(0, 2, -1, 3)]}),
    ("PyTorch wrote out[2], not your kernel", {"image": [0.0, 2.0, NAN, 9.0, NAN, NAN]}),
    ("PyTorch wrote out[5], not your kernel", {"image": [0.0, 2.0, 4.0, 6.0, NAN, 0.0]}),
]


@pytest.mark.parametrize(("said", "told"), REFUSED)
def test_what_is_not_a_kernels_own_is_refused(said, told):
    with pytest.raises(AssertionError, match=re.escape(said)):
        launched(**told)


def test_an_answer_of_another_shape():
    with pytest.raises(AssertionError, match=r"shape \(5,\), expected \(6,\)"):
        touched = torch.tensor(ACCESSES)
        told = {
            "grids": [(2, 1, 1)],
            "touched": touched,
            "images": [X, X],
            "foreign": [],
            "refused": [],
        }
        Launched(torch.zeros(5), told, {"x": X}, torch.zeros(6))


@pytest.mark.parametrize(
    ("said", "told", "share"),
    [
        ("programs 0 and 1 both wrote out[1]", {"accesses": [*ACCESSES, (0, 1, STORE, 1, 1)]}, 9),
        ("program 0 wrote 2 numbers; 1 are its own", {}, 1),
        ("at [1] you return 3, expected 2", {"answer": [0.0, 3.0, 4.0, 6.0, NAN, NAN]}, 2),
        ("a masked load without other= gives anything, here NaN; 2 programs; 0 read",
         {"answer": [0.0, NAN, 4.0, 6.0, NAN, NAN], "unspecified": 1}, 2),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_a_picture(said, told, share):
    with pytest.raises(AssertionError, match=re.escape(said)) as error:
        launched(**told).expect(2 * X, share=share)
    assert "; 2 programs; 0 read x 0-1, wrote out 0-1; 1 read" in str(error.value)


def test_behind_the_end_nothing_is_written_and_nothing_read():
    wrote = launched(answer=[*TWICE[:4], 1.0, NAN]).expect(2 * X, share=2)
    with pytest.raises(AssertionError, match="you wrote 1 places behind the end"):
        wrote.expect_untouched()
    for offset, where in ((-1, "before the beginning"), (4, "beyond the end")):
        read = launched([*ACCESSES, (0, 1, LOAD, 0, offset)]).expect(2 * X, share=2)
        with pytest.raises(AssertionError, match=f"program 1 read {where} of x"):
            read.expect_untouched()
    matrix = [[0.0, 1.0], [2.0, 3.0], [NAN, 5.0]]
    wrote = launched(answer=matrix).expect(torch.tensor(matrix[:2]), share=2)
    with pytest.raises(AssertionError, match="you wrote 1 places behind the end"):
        wrote.expect_untouched()


def test_every_number_of_an_input_is_read():
    found = launched([(0, 0, LOAD, 0, 0), (0, 1, STORE, 0, 1), *STORES])
    with pytest.raises(AssertionError, match=r"no program read x\[1\]; 2 programs; 0 read x 0"):
        found.expect_read("x")


def test_places_and_runs_in_words():
    matrix = launched(answer=[[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    before, beyond = "before the beginning of out", "beyond the end of out"
    assert [matrix.place("out", n) for n in (-1, 0, 3, 5, 6)] == [
        before, "out[0, 0]", "out[1, 1]", "out[2, 1]", beyond,
    ]  # fmt: skip
    assert matrix.runs("out", 0, 0, STORE) == "out rows 0" and matrix.runs("out", 0, 2, STORE) == ""
    assert matrix.runs("out", 0, 1, STORE) == "out rows 1"
    cube = launched(answer=[[[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]] * 2)
    assert cube.runs("out", 0, 1, STORE) == "out rows 1", "of the last axis"
    stores = [(0, 0, STORE, 1, n) for n in (9, 1, 0, 2, 5, 7)]
    for some, said in ((stores, "out 0-2, 5, 7, …"), (stores[1:], "out 0-2, 5, 7")):
        assert launched(some, answer=[0.0] * 10).runs("out", 0, 0, STORE) == said


def test_a_picture_shows_three_programs_and_says_how_many_there_are():
    shown = launched(STORES, grids=[(5, 1, 1)]).picture()
    assert shown.startswith("5 programs; 0 read nothing, wrote out 0-1; 1 read nothing, wrote")
    assert shown.endswith("; 2 read nothing, wrote nothing")


def test_of_compiled_kernels_only_the_grid_is_known():
    found = launched(touched=None, grids=[(1, 1, 1)])
    found.expect(2 * X, share=1).expect_untouched()
    found.expect_read("x")
    assert found.picture() == "1 program"
    with pytest.raises(AssertionError, match=r"expected 1; 6 programs$"):
        launched(touched=None, grids=[(3, 2)]).expect(torch.ones(1), share=1)


def test_sizes_of_grids_and_of_room():
    assert [size(grid) for grid in ((2, 3, 1), (4,), ())] == [6, 4, 1]
    assert poisoned(4, 3).shape == (8,) and poisoned(4, 3).isnan().all()
    assert poisoned(2, 2, 5).shape == (5, 5)
