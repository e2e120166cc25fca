"""Runs on text: a row each, the losses beside it, exact resumption, one reading of a dataset."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from zoology_teach.experiments import sweep, text_runs
from zoology_teach.experiments.sweep import runs_folder
from zoology_teach.experiments.text_runs import COLUMNS, losses_of
from zoology_teach.model import LanguageModel
from zoology_teach.tasks import documents
from zoology_teach.tasks.mqar import MQAR
from zoology_teach.tasks.source import Text
from zoology_teach.training import Stage, train


def test_a_run_that_diverged_has_a_row_and_the_next_one_is_done(preset, tmp_path):
    lost = replace(preset, train=replace(preset.train, lr=1e30, clip=1e30)).run("base_conv")
    table = sweep.run([lost, preset.run("base_conv")], out=tmp_path / "t.csv", executor="here")
    assert table["ppl"].isna().tolist() == [True, False]
    assert table["tokens"].notna().all()


def test_a_row_a_run_and_the_losses_beside_it(preset, tmp_path):
    out = tmp_path / "out" / "text.csv"
    runs = [preset.run(mixer, seed=0) for mixer in ("base_conv", "hybrid_induction")]
    table = sweep.run(runs, out=out, executor="here", command="a test")
    assert list(table.columns) == list(COLUMNS)
    assert table["mixer"].tolist() == ["base_conv", "hybrid_induction"]
    assert table["init"].tolist() == ["usual", "induction"]
    row = table.iloc[0]
    losses = losses_of(out, row["run"])
    assert losses.size == row["held_out_tokens"]
    assert math.exp(losses.astype(float).mean()) == pytest.approx(row["ppl"], abs=1e-3)
    assert [m["step"] for m in json.loads(row["curve"])] == [2, 3]
    assert row["tokens"] == 3 * 4 * 32
    assert (row["layers"], row["warm_up"]) == ("base_conv base_conv", 0)
    assert (row["steps"], row["batch_size"], row["lr"], row["seed"]) == (3, 4, 1e-2, 0)
    assert (row["d_model"], row["seq_len"], row["vocab_size"]) == (16, 32, 2048)
    assert (row["threshold"], row["wide_threshold"], row["device"]) == (20, 100, "cpu")
    model = LanguageModel(runs[0].model)
    assert (row["parameters"], row["mlp"]) == (model.num_parameters(), runs[0].model.mlp)
    assert row["state_size"] == model.state_size(32)
    assert 6 < row["train_loss"] < 9 and math.isnan(row["choosing_ppl"])  # ln 2048 is 7.6
    before = out.read_bytes()
    assert len(sweep.run(runs, out=out, executor="here")) == 2 and out.read_bytes() == before
    with pytest.raises(ValueError, match="run = 'nothing'"):
        losses_of(out, "nothing")


@pytest.mark.parametrize(("rank", "order"), [(0, ["load", "wait", "load"]), (1, ["wait", "load"])])
def test_the_first_process_reads_a_text_and_the_others_wait(
    preset, tmp_path, monkeypatch, rank, order
):
    seen = []

    def load(text, folder):
        seen.append("load")
        if "wait" in seen:
            raise InterruptedError

    monkeypatch.setattr(text_runs, "rank_and_size", lambda: (rank, 2))
    monkeypatch.setattr(text_runs, "from_the_first", lambda value: seen.append("wait"))
    monkeypatch.setattr(Text, "load", load)
    with pytest.raises(InterruptedError):
        preset.run("base_conv").execute(tmp_path)
    assert seen == order


def test_a_dataset_of_the_hub_is_read_once(tmp_path, monkeypatch):
    reads = []

    def of_hub(name, *options):
        reads.append(name)
        for i in range(40):
            yield documents.Document(f"row {i}", f"Exit Caliban, {i} times, with a bear. " * 9)
        yield documents.DamagedText("row 40: no text")

    monkeypatch.setattr(documents, "_of_hub", of_hub)
    text = Text("hf:plays", 16, "bpe-300", held_out=0.3)
    first, again = text.load(tmp_path), text.load(tmp_path)
    assert reads == ["plays", "plays"], "once for the tokenizer, once for the tokens"
    direct = text.load()
    for corpus in (first, again):
        for a, b in ((corpus.train, direct.train), (corpus.held_out, direct.held_out)):
            assert np.array_equal(a.tokens, b.tokens) and np.array_equal(a.documents, b.documents)
            assert (a.names, a.seq_len, a.vocab_size) == (b.names, 16, 300)
        assert corpus.reading == direct.reading and corpus.reading.damaged == 1
    assert isinstance(again.train.stream, np.memmap)
    assert len(text.load(tmp_path / "new" / "folder").train) == len(direct.train)
    with pytest.raises(ValueError, match="tokenizer = 'bpe': must be 'committed'"):
        Text("hf:plays", tokenizer="bpe").load()


def test_an_interrupted_run_has_no_row_and_goes_on_exactly(preset, tmp_path, monkeypatch):
    out, run = tmp_path / "t.csv", preset.run("hybrid_learned_short_conv")
    whole = sweep.run([run], out=tmp_path / "whole.csv", executor="here").iloc[0]

    def impatient(*args, original=train, **options):
        history = original(*args, **options | {"save_seconds": 0})
        history.interrupted = True
        return history

    with monkeypatch.context() as patch:
        patch.setattr(text_runs, "train", impatient)
        with pytest.raises(KeyboardInterrupt):
            sweep.run([run], out=out, executor="here")
    assert not out.exists() and (runs_folder(out) / f"{run.id}.pt").exists()
    again = sweep.run([run], out=out, executor="here").iloc[0]
    assert again["ppl"] == whole["ppl"] and again["curve"] == whole["curve"]


def test_recall_first_and_then_text(preset, tmp_path):
    lesson = Stage(MQAR(16, 2, 64), 4, 8)
    warm = replace(preset.train, before=(lesson,))
    run = replace(preset.run("base_conv"), train=warm)
    assert run.id != preset.run("base_conv").id
    row = sweep.run([run], out=tmp_path / "t.csv", executor="here").iloc[0]
    assert json.loads(row["config"])["train"]["before"][0]["steps"] == 4
    assert [m["step"] for m in json.loads(row["curve"])] == [6, 7]
    assert row["warm_up"] == 4 and row["steps"] == 3


def test_other_texts_under_the_same_path_are_another_run(preset, tmp_path):
    out, folder = tmp_path / "t.csv", tmp_path / "texts"
    first = preset.run("base_conv")
    sweep.run([first], out=out, executor="here")
    assert sweep.finished(out, [preset.run("base_conv")]) == {first.id}
    for change in (
        lambda: (folder / "0.txt").write_text("Exit pursued by a bear, Enter Caliban. " * 60),
        lambda: (folder / "1.txt").rename(folder / "one.txt"),
        lambda: (folder / "3.txt").write_text("another"),
        lambda: (folder / "3.txt").unlink(),
    ):
        before = preset.run("base_conv").id
        change()
        assert preset.run("base_conv").id != before
    assert sweep.finished(out, [preset.run("base_conv")]) == set()
    with pytest.raises(ValueError, match=r"source = .*must be the text whose digest is"):
        first.execute(tmp_path / "late")
    (folder / "picture.png").write_bytes(b"no text")
    assert len(sweep.run([preset.run("base_conv")], out=out, executor="here")) == 2


def test_the_plays_and_datasets_keep_their_ids(preset):
    assert Text().as_found() == Text() and Text("hf:plays").as_found() == Text("hf:plays")
