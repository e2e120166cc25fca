"""Chapter 14's way, gone with a mixer of one's own: the commands that it prints, word for word."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from zoology_teach.experiments import results

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "book" / "14_add_your_own_animal.md").read_text()
FADING = '''"""A memory that fades: S_t = keep S_{t-1} + v_t k_t^T, y_t = W_o S_t q_t."""

import torch
from torch import nn

from zoology_teach.mixers.mixer import Mixer, rows


class Fading(Mixer):
    """One number, learned, says how much is kept of a token."""

    has_step = True

    def __init__(self, d_model):
        super().__init__(d_model)
        self.query, self.key, self.value, self.out = (nn.Linear(d_model, d_model) for _ in range(4))
        self.slow = nn.Parameter(torch.tensor([3.0]))

    def forward(self, u, positions=None):
        self.check(u, positions)
        time = torch.arange(u.shape[1], device=u.device)
        keep = self.slow.sigmoid() ** (time[:, None] - time).clamp(min=0)
        scores = (keep * (self.query(u) @ self.key(u).mT)).tril()
        return self.out(rows(scores @ self.value(u), positions))

    def step(self, u_t, state=None):
        self.check_step(u_t)
        written = self.value(u_t)[..., None] * self.key(u_t)[:, None]
        state = written if state is None else self.slow.sigmoid() * state + written
        return self.out((state @ self.query(u_t)[..., None])[..., 0]), state

    def projections(self):
        return (self.query, self.key, self.value), self.out

    def state_size(self, n):
        return self.d_model**2

    def flops(self, n):
        return 8 * n * self.d_model**2 + 4 * self.d_model * n * n
'''


def fenced(language: str) -> str:
    """What the chapter prints in a fence of that kind."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    return found


def run(command: list[str], folder: Path) -> str:
    """In a reader's folder, with the environment of the book active."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(command, cwd=folder, env=env, timeout=400, **both)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.training
def test_a_readers_own_file_goes_the_whole_way(tmp_path):
    assert 35 <= len(FADING.splitlines()) <= 45
    (tmp_path / "my_mixer.py").write_text(FADING)
    printed = run(["bash", "-ec", fenced("bash")], tmp_path)
    assert printed.startswith("my_mixer:Fading\n  kept shape: ") and "\n  no " not in printed
    counted = re.findall(r"^(\w+)\.csv: (\d+) runs, 0 done, \2 to go$", printed, re.MULTILINE)
    assert counted == [("curriculum", "12"), ("figure2", "12"), ("lesson", "3")]
    table = results.load(tmp_path / "small.csv")
    assert set(table["mixer"]) == {"my_mixer:Fading"} and len(table) == 3
    assert set(table["state_size"]) == {16 * 16 + 2 * 16} and set(table["steps"]) == {20}
    said = run([sys.executable, "-c", fenced("python")], tmp_path)
    assert "N = 32, K = 4, my_mixer:Fading: " in said and "at d = 16" in said
    assert "state=4096" in said and (tmp_path / "figure2.png").stat().st_size > 5000


def test_the_rows_of_the_newer_animals_are_what_the_command_makes():
    """By the file that is shipped: name, recipe and the digest of its content."""
    from zoology_teach.mixers.plugin import content

    table = results.load(ROOT / "book" / "results" / "newer_animals.csv")
    assert set(table["mixer"]) == {
        "linear_attention", "delta_rule:DeltaRule", "gated_delta_rule:GatedDeltaRule",
        "mamba2:Mamba2",
    }  # fmt: skip
    narrow = table[table["d_model"] == 16]
    assert (narrow.groupby(["mixer", "lr"])["seed"].nunique() == 3).all()
    noted = results.provenance(ROOT / "book" / "results" / "newer_animals.csv")["commands"]
    shipped = sorted(map(content, (ROOT / "examples").glob("*.py")))
    assert all(note["plugins"] == ", ".join(shipped) for note in noted)


def test_the_lesson_is_that_of_chapter_10():
    ours, theirs = (
        pd.read_csv(ROOT / "book" / "results" / f"{name}.csv")
        for name in ("newer_animals_lesson", "lesson")
    )
    same = ["recipe", "d_model", "seq_len", "num_pairs", "vocab_size", "lr", "steps", "batch_size"]
    assert len(ours) == 3 and len(ours[same].drop_duplicates()) == 1
    renamed = theirs[theirs["recipe"] == "renamed"][same].drop_duplicates()
    assert ours[same].iloc[0].to_dict() == renamed.iloc[0].to_dict()
