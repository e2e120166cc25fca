"""benchmarks/speed.py: steps against another checkout, and what it does to its table."""

import importlib.util
import sys
from pathlib import Path

import pandas as pd
import pytest

from zoology_teach.experiments import results

ROOT = Path(__file__).parents[1]


@pytest.fixture
def speed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    spec = importlib.util.spec_from_file_location("speed", ROOT / "benchmarks/speed.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    once = dict.fromkeys(("WARM_UP", "ROUNDS", "PROCESSES"), 1)
    small = {"VOCABULARIES": (256,), "MODELS": ["BaseConv"], "OUT": tmp_path / "speed.csv"}
    for name, value in (once | small).items():
        monkeypatch.setattr(module, name, value)
    yield module
    sys.modules.pop("speed_steps")


def test_steps_against_a_checkout_replace_their_rows_and_no_other(speed, monkeypatch):
    name = "step against a checkout, BaseConv, V=256"
    before = [("generator", 2.0, 1.0, 2.0), (name, 9.0, 1.0, 9.0)]
    pd.DataFrame(before, columns=speed.COLUMNS).to_csv(speed.OUT, index=False)
    monkeypatch.setattr(speed, "commit_of", lambda checkout: "0123456789ab")
    speed.main(["--against", str(ROOT)])
    table = pd.read_csv(speed.OUT).set_index("work")
    assert list(table.index) == ["generator", name]
    assert table.loc["generator"].tolist() == [2.0, 1.0, 2.0]
    plain, ours, ratio = table.loc[name]
    assert ratio == pytest.approx(plain / ours, rel=0.1) and 0.1 < ratio < 8
    (command,) = results.provenance(speed.OUT)["commands"]
    assert command["command"] == "python benchmarks/speed.py --against 0123456789ab"


def test_a_folder_without_the_library_is_named(speed, tmp_path):
    with pytest.raises(ValueError, match=r"--against = .*a checkout of this library"):
        speed.main(["--against", str(tmp_path)])
    assert not speed.OUT.exists()


def test_a_step_that_fails_ends_the_run(speed, monkeypatch):
    monkeypatch.setattr(speed, "MODELS", ["no such model"])
    with pytest.raises(ValueError, match="the step of no such model failed"):
        speed.main(["--against", str(ROOT)])
    assert not speed.OUT.exists()


def test_the_kept_table_has_every_model(speed):
    from speed_steps import MODELS

    table = pd.read_csv(ROOT / "benchmarks/speed.csv").set_index("work")
    for vocab_size in (256, 8192):
        for name in MODELS:
            row = table.loc[f"step against a checkout, {name}, V={vocab_size}"]
            assert row.ratio > 0.9, name


def a_checkout_of_the_paper(folder: Path, attention: str) -> Path:
    mixers = folder / "zoology/mixers"
    mixers.mkdir(parents=True)
    (mixers / "attention.py").write_text(attention)
    return folder


MHA = """
from torch import nn

class MHA(nn.Linear):
    def __init__(self, d_model, layer_idx, num_heads):
        super().__init__(d_model, d_model)
"""


def test_steps_against_the_papers_code_leave_out_what_cannot_be_imported(
    speed, tmp_path, monkeypatch, capsys
):
    checkout = a_checkout_of_the_paper(tmp_path / "papers", MHA)
    monkeypatch.setattr(speed, "commit_of", lambda checkout: "0123456789ab")
    monkeypatch.setattr(speed, "ratio", lambda plain, ours, rounds: (2.0, 1.0, 2.0))
    monkeypatch.setattr(sys, "path", sys.path[:])
    speed.main(["--zoology", str(checkout)])
    table = pd.read_csv(speed.OUT).set_index("work")
    expected = [f"step against the paper's code, attention, N={n}" for n in (64, 256)]
    assert list(table.index) == expected
    said = capsys.readouterr().out
    assert "--zoology: H3 is left out, its file cannot be imported: No module named" in said
    for name in [name for name in sys.modules if name.split(".")[0] == "zoology"]:
        sys.modules.pop(name)


def test_a_folder_without_the_papers_code_is_named(speed, tmp_path):
    with pytest.raises(ValueError, match=r"--zoology = .*HazyResearch/zoology"):
        speed.main(["--zoology", str(tmp_path)])
    assert not speed.OUT.exists()
