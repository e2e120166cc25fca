"""A folder of grades keeps the seed and the limits that its marks were given with."""

import json

import pytest

from zoology_teach.grading.chosen import chosen
from zoology_teach.grading.grade import grade
from zoology_teach.grading.sandbox import Limits
from zoology_teach.grading.settings import (
    GRADED,
    SETTINGS,
    graded_with,
    require_own_folder,
    settle,
)

EXERCISES = chosen("02")


def settled(out, seed=None, exercises=EXERCISES, sandboxed=True, **limits):
    return settle(out, seed, exercises, sandboxed, Limits(**limits))


def test_a_seed_is_drawn_once_and_kept(tmp_path):
    drawn = {settled(tmp_path) for _ in range(3)}
    assert len(drawn) == 3 and all(0 <= seed < 2**53 for seed in drawn), "nothing graded yet"
    assert settled(tmp_path, 5) == 5
    (tmp_path / GRADED).touch()
    assert settled(tmp_path, 6) == 6, "nothing stands in it yet"
    (tmp_path / GRADED).write_text("a row")
    assert settled(tmp_path) == settled(tmp_path, 6) == 6
    with pytest.raises(ValueError, match=r"seed = 7: must be the one in .*, or OUT another folder"):
        settled(tmp_path, 7)
    for wrong in (-1, 1.5, True):
        with pytest.raises(ValueError, match=f"seed = {wrong}: must be an integer >= 0"):
            settled(tmp_path, wrong)


@pytest.mark.parametrize(
    ("named", "change"),
    [
        ("exercises", {"exercises": EXERCISES[:1]}),
        ("sandboxed", {"sandboxed": False}),
        ("timeout", {"submission_seconds": 61.0}),
        ("call timeout", {"call_seconds": 6.0}),
        ("cell timeout", {"cell_seconds": 11.0}),
    ],
)
def test_what_decides_marks_stays_as_it_was(tmp_path, named, change):
    settled(tmp_path, 1)
    (tmp_path / GRADED).write_text("a row")
    with pytest.raises(ValueError, match=rf"^{named} = .*: must be .*as when OUT was first graded"):
        settled(tmp_path, 1, **change)


def test_what_was_graded_can_be_looked_up(tmp_path):
    with pytest.raises(ValueError, match=r"out = .*: must be a folder that was graded into"):
        graded_with(tmp_path)
    for sandboxed in (True, False):
        settled(tmp_path, 1, sandboxed=sandboxed)
        (tmp_path / GRADED).touch()
        assert graded_with(tmp_path) == (EXERCISES, sandboxed)
    note = json.loads((tmp_path / SETTINGS).read_text())
    (tmp_path / SETTINGS).write_text(json.dumps(note | {"ladders": "another"}))
    with pytest.raises(ValueError, match=r"ladders = .*: must be another, as when OUT was first"):
        graded_with(tmp_path)
    for wrong in ("{}", "[]", "{", '{"seed": 1}', json.dumps(note | {"seed": -1})):
        (tmp_path / SETTINGS).write_text(wrong)
        with pytest.raises(ValueError, match="not the settings of a graded class"):
            graded_with(tmp_path)


def test_a_folder_of_somebody_elses_is_refused(tmp_path):
    require_own_folder(tmp_path)
    require_own_folder(tmp_path / "new")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"out = .*file': must be a folder, or a new name"):
        require_own_folder(tmp_path / "file")
    (tmp_path / "grades.csv").touch()
    with pytest.raises(ValueError, match=r"must be without grades\.csv, or with the "):
        require_own_folder(tmp_path)
    settled(tmp_path, 1)
    require_own_folder(tmp_path)


@pytest.mark.parametrize(
    ("named", "option"),
    [
        ("timeout = 0: must be positive", {"seconds": 0}),
        ("jobs = 0: must be an integer >= 1", {"jobs": 0}),
        ("export = 'blackboard': must be one of", {"platform": "blackboard"}),
        ("sandbox = 'docker': must be one of", {"sandbox": "docker"}),
    ],
)
def test_a_wrong_option_of_grading_is_named_before_anything_is_written(tmp_path, named, option):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "ada.py").write_text("x = 1")
    with pytest.raises(ValueError, match=f"^{named}"):
        grade(tmp_path / "in", tmp_path / "out", chapter="02", **option)
    with pytest.raises(ValueError, match=r"out = .*: must be outside of .*, or it would be graded"):
        grade(tmp_path / "in", tmp_path / "in" / "out", chapter="02")
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "ada.py"]
