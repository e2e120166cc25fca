"""What models write: exactly from their own probabilities, marked where it recalls."""

from functools import partial

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from zoology_teach.cli import app
from zoology_teach.experiments import text_continued, text_runs
from zoology_teach.experiments.sweep import runs_folder
from zoology_teach.experiments.text_continued import continued, trained, write_on
from zoology_teach.experiments.text_presets import PRESETS
from zoology_teach.recall import ar_hits, bigram_counts
from zoology_teach.training import train


@pytest.fixture
def out(preset, tmp_path, monkeypatch):
    """A table of one model on a small text, its passage and how it goes on beside it."""
    monkeypatch.setattr(text_continued, "GIVEN", 20)
    monkeypatch.setattr(text_continued, "WRITTEN", 9)
    monkeypatch.setattr(text_runs, "train", partial(train, save_seconds=0))
    monkeypatch.setitem(PRESETS, "laptop", preset.only(["hybrid_short_conv"]))
    out = tmp_path / "text.csv"
    done = CliRunner().invoke(app, ["text", "--preset", "laptop", "--out", str(out)])
    assert done.exit_code == 0, done.output
    return out


def test_a_passage_goes_on_and_recalled_tokens_are_marked(out):
    shown = pd.read_csv(out.with_name("text_continued.csv"), keep_default_na=False)
    lengths = shown.groupby("by", sort=False).size()
    assert lengths.to_dict() == {"given": 20, "hybrid_short_conv": 9}
    run = PRESETS["laptop"].run("hybrid_short_conv")
    corpus = run.text.load()
    decode = corpus.tokenizer.decode
    begins = ["".join(map(decode, block[:20, None].tolist())) for block in corpus.held_out.tokens]
    given = "".join(shown.query("by == 'given'")["token"])
    block = corpus.held_out.tokens[begins.index(given)]
    tokens = write_on(trained(out, run), torch.from_numpy(block[:20].astype("int64")), 9, 0.7)
    written = shown.query("by == 'hybrid_short_conv'")
    assert written["token"].tolist() == [decode([t]) for t in tokens[20:].tolist()]
    counts = bigram_counts(corpus.train.stream)
    hits = ar_hits(tokens[None].numpy(), counts, run.thresholds[0])[0]
    assert shown["recalled"].tolist() == hits.astype(int).tolist()


def test_a_low_temperature_takes_the_most_likely_token(out):
    model = trained(out, PRESETS["laptop"].run("hybrid_short_conv"))
    given = torch.arange(5)
    greedy = given
    for _ in range(4):
        with torch.no_grad():
            greedy = torch.cat([greedy, model(greedy[None])[0, -1:].argmax(-1)])
    assert write_on(model, given, 4, 1e-6).equal(greedy)
    assert write_on(model, given, 30, 5.0, seed=1).equal(write_on(model, given, 30, 5.0, seed=1))
    assert not write_on(model, given, 30, 5.0, seed=1).equal(write_on(model, given, 30, 5.0))
    with pytest.raises(ValueError, match="temperature = 0"):
        write_on(model, given, 1, 0)


def test_a_model_that_is_not_kept_is_named(out):
    run = PRESETS["laptop"].run("hybrid_short_conv")
    (runs_folder(out) / f"{run.id}.pt").unlink()
    with pytest.raises(ValueError, match=f"run = '{run.id}': must be one whose checkpoint is kept"):
        continued(out, PRESETS["laptop"])
