"""Several processes do together what one does; when one is gone, none waits for it."""

import json
import os

import numpy as np
import pytest

from tests.training.elsewhere import TRAININGS, trained
from tests.training.toys import elsewhere
from zoology_teach.training import loop


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """What two processes under torchrun say of all `TRAININGS`."""
    path = tmp_path_factory.mktemp("together") / "got"
    process = elsewhere("command", "train", path, processes=2)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return [json.loads(path.with_name(f"got.{rank}").read_text()) for rank in range(2)]


@pytest.mark.parametrize("name", TRAININGS)
def test_two_processes_do_what_one_does(together, name, monkeypatch):
    first, second = (both[name] for both in together)
    assert json.dumps(first) == json.dumps(second) and together[0]["size"] == 2
    monkeypatch.setattr(loop, "MASTERED_OVER", 3)
    alone = trained(name)
    near = 0.02 if "bf16" in name else 1e-5
    assert len(first["losses"]) == len(alone["losses"])
    assert np.abs(np.array(first["losses"]) - alone["losses"]).max() <= near
    assert first["weights"] == pytest.approx(alone["weights"], abs=100 * near)
    assert first["ended"] == alone["ended"]
    assert first["accuracy"] == pytest.approx(alone["accuracy"], abs=0.03, nan_ok=True)


def test_a_lesson_is_mastered_in_all_processes_at_once(together):
    for of_one in together:
        assert of_one["stages"]["ended"] == [[5, False], [3, True], [6, False]]
        assert of_one["stop"]["ended"] == [[5, True]]


DEATHS = (
    "0 killed",
    "0 failed",
    "1 killed",
    "0 killed while measuring",
    "0 failed while measuring",
    "0 killed while reading",
    "0 never comes",
    "1 never comes",
)


@pytest.fixture(scope="module")
def deaths(tmp_path_factory):
    """Of two processes that found each other by themselves: exit status and stderr of each."""
    folder = tmp_path_factory.mktemp("deaths")
    process = elsewhere("side_by_side", json.dumps(DEATHS), folder)
    found, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return {
        name: (status, (folder / name).read_text()) for name, status in json.loads(found).items()
    }


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("name", DEATHS)
def test_when_one_process_ends_the_other_ends_with_one_line(deaths, name):
    rank = int(name[0])
    if not name.endswith("never comes"):
        assert deaths[f"{name} {rank}"][0] != 0
    status, errors = deaths[f"{name} {1 - rank}"]
    said = [line for line in errors.splitlines() if line.startswith("zoology-teach: ")]
    assert status == 2 and len(said) == 1, errors  # -14: it waited for a minute
    assert "not all of the 2 processes of this run are there" in said[0]


def test_under_torchrun_a_dead_process_ends_them_all():
    process = elsewhere("command", "die", 0, "killed while measuring", processes=2)
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0, errors
