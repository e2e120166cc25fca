"""Training on text: it resumes exactly, several processes do what one does, files are whole."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import cross_entropy
from typer.testing import CliRunner
from zoology_teach.training.text_loop import batch_rows, process_group, token_losses, train_text

from zoology_teach.cli import app
from zoology_teach.experiments import text_runs
from zoology_teach.experiments.text_held_out import passage
from zoology_teach.experiments.text_presets import MIXERS_ON_TEXT, PRESETS
from zoology_teach.experiments.text_runs import (
    COLUMNS,
    losses_of,
    masks,
    perplexities,
    run_all,
    runs_folder,
)
from zoology_teach.mixers.sparse_attention import seen_before
from zoology_teach.model import LanguageModel, ModelConfig, layer
from zoology_teach.recall import bigram_counts
from zoology_teach.tasks import documents
from zoology_teach.tasks.source import Text
from zoology_teach.tasks.text import Blocks
from zoology_teach.training import Diverged, TrainConfig
from zoology_teach.training import checkpoint as checkpoints

CONFIG = TrainConfig(steps=20, batch_size=4, lr=1e-2, seed=3)


def toy_blocks(num_blocks: int = 30, seq_len: int = 16, vocab_size: int = 32) -> Blocks:
    """Noisy counting, in two documents: something to learn."""
    m = num_blocks * seq_len + 1
    steps = np.random.default_rng(0).choice([1, 1, 1, 5], m)
    stream = (steps.cumsum() % vocab_size).astype(np.uint16)
    document = (np.arange(m) > m // 2).astype(np.int32)
    return Blocks(stream, document, ["a", "b"], seq_len, vocab_size)


def toy_model(selection: str = "learned") -> LanguageModel:
    """With a router, which has a state and noise of its own."""
    router = layer("sparse_attention", selection=selection, k=4, soft_steps=5)
    return LanguageModel(ModelConfig(32, 16, (layer("base_conv"), router), mlp=24, seed=1))


def in_another_process(*arguments: object, processes: int = 1, start: bool = False):
    """This file's `main`, perhaps under torchrun."""
    run = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, *(run if processes > 1 else []), __file__, *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    make = subprocess.Popen if start else subprocess.run
    how = {} if start else {"capture_output": True, "text": True, "timeout": 120}
    return make(command, env=environment, **how)


def main(kind: str, path: str) -> None:
    """What the tests run elsewhere: train slowly with a checkpoint, or note the losses."""
    torch.set_num_threads(1)
    if kind == "slow":
        measure = lambda model: time.sleep(0.1) or {}  # noqa: E731
        config = replace(CONFIG, eval_every=1)
        train_text(
            toy_model(),
            toy_blocks(),
            config,
            measure=measure,
            checkpoint=Path(path),
            save_seconds=0,
        )
        return
    with process_group(torch.device("cpu")) as (rank, size):
        model = toy_model("full")
        history = train_text(model, toy_blocks(), CONFIG, micro_batch=1)
        assert size == 2
        if rank == 0:
            weights = [p.double().sum().item() for p in model.parameters()]
            Path(path).write_text(json.dumps([history.losses, weights]))


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_killed_and_resumed_is_as_if_nothing_had_happened(tmp_path):
    config, path = replace(CONFIG, eval_every=1), tmp_path / "run.pt"
    whole = toy_model()
    history = train_text(whole, toy_blocks(), config, measure=lambda model: {})
    process = in_another_process("slow", path, start=True)
    while not path.exists() or len(checkpoints.load(path)["losses"]) < 7:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL

    done = len(checkpoints.load(path)["losses"])
    assert 7 <= done < CONFIG.steps
    resumed = toy_model()
    measured_at = []
    again = train_text(
        resumed,
        toy_blocks(),
        config,
        measure=lambda model: measured_at.append(1) or {},
        checkpoint=path,
    )
    assert len(measured_at) == CONFIG.steps - done
    assert again.losses == history.losses
    assert again.measured == history.measured
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_an_interrupt_keeps_the_checkpoint(tmp_path):
    path, calls = tmp_path / "run.pt", []

    def interrupted(model):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return {"calls": len(calls)}

    config = replace(CONFIG, eval_every=4)
    arguments = {"checkpoint": path, "save_seconds": 0}
    with pytest.raises(KeyboardInterrupt):
        train_text(toy_model(), toy_blocks(), config, measure=interrupted, **arguments)
    assert len(checkpoints.load(path)["losses"]) == 11
    resumed = train_text(toy_model(), toy_blocks(), config, measure=interrupted, **arguments)
    assert resumed.losses == train_text(toy_model(), toy_blocks(), config).losses
    assert [m["step"] for m in resumed.measured] == [4, 8, 12, 16, 20]
    finished = train_text(toy_model(), toy_blocks(), config, measure=interrupted, **arguments)
    assert finished == resumed, "a finished training is not done again"


def test_two_processes_do_what_one_does(tmp_path):
    done = in_another_process("ddp", tmp_path / "losses.json", processes=2)
    assert done.returncode == 0, done.stderr
    losses, weights = json.loads((tmp_path / "losses.json").read_text())
    model = toy_model("full")
    history = train_text(model, toy_blocks(), CONFIG)
    assert len(losses) == 20
    assert np.abs(np.array(losses) - history.losses).max() <= 1e-5
    assert weights == pytest.approx([p.double().sum().item() for p in model.parameters()], abs=1e-3)
    assert history.losses[-1] < history.losses[0] - 0.3


def test_gradients_add_up_to_those_of_a_larger_batch():
    whole, parts = (
        train_text(toy_model("full"), toy_blocks(), CONFIG, micro_batch=m).losses for m in (4, 1)
    )
    assert np.abs(np.array(whole) - parts).max() <= 1e-5


def test_every_epoch_sees_each_block_once_in_a_new_order():
    seen = torch.cat([batch_rows(30, CONFIG, step) for step in range(15)])
    first, second = seen[:30].tolist(), seen[30:].tolist()
    assert sorted(first) == sorted(second) == list(range(30))
    assert first != second
    assert (
        first != torch.cat([batch_rows(30, replace(CONFIG, seed=4), s) for s in range(8)]).tolist()
    )


def test_bf16_is_near_float32():
    exact, rough = (
        train_text(toy_model("full"), toy_blocks(), CONFIG, bf16=bf16).losses
        for bf16 in (False, True)
    )
    assert exact != rough
    assert np.abs(np.array(exact) - rough).max() < 0.1


def test_token_losses_are_those_of_the_whole():
    model, blocks = toy_model(), toy_blocks()
    some = token_losses(model, blocks, slice(1, None, 3), batch_size=4)
    assert model.training
    model.eval()
    batch = blocks.examples(slice(1, None, 3))
    logits = model(batch.inputs)
    expected = cross_entropy(logits.transpose(1, 2), batch.labels, reduction="none")
    assert some.shape == (10, 16) and some.dtype == np.float32
    assert some == pytest.approx(expected.detach().numpy(), abs=1e-5)


@pytest.mark.parametrize("damage", ["torn", "altered", "text", "empty"])
def test_a_damaged_checkpoint_is_refused_in_one_line(tmp_path, damage):
    path = tmp_path / "run.pt"
    train_text(toy_model(), toy_blocks(), replace(CONFIG, steps=2), checkpoint=path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    kinds = {"torn": content[:-500], "altered": content, "text": b"once upon", "empty": b""}
    path.write_bytes(kinds[damage])
    with pytest.raises(ValueError, match=r"checkpoint = .*run\.pt.*: must be one that is whole"):
        train_text(toy_model(), toy_blocks(), CONFIG, checkpoint=path)


def test_a_checkpoint_cannot_carry_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "pwned"),)

    torch.save({"model": Evil()}, tmp_path / "run.pt")
    with pytest.raises(ValueError, match="checkpoint = "):
        checkpoints.load(tmp_path / "run.pt")
    assert not (tmp_path / "pwned").exists()


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    checkpoints.save(path, {"step": 1})

    def no_room(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(OSError):
        checkpoints.save(path, {"step": 2})
    assert checkpoints.load(path) == {"step": 1}


def test_another_trainings_checkpoint_is_refused(tmp_path):
    path = tmp_path / "run.pt"
    train_text(toy_model(), toy_blocks(), replace(CONFIG, steps=2), checkpoint=path)
    for model, blocks, config in (
        (toy_model("full"), toy_blocks(), replace(CONFIG, steps=2)),
        (toy_model(), toy_blocks(29), replace(CONFIG, steps=2)),
        (toy_model(), toy_blocks(), replace(CONFIG, steps=2, lr=1e-3)),
    ):
        with pytest.raises(ValueError, match="of the same model, text and budget"):
            train_text(model, blocks, config, checkpoint=path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"micro_batch": 3}, "micro_batch = 3: must be a divisor of 4"),
        ({"micro_batch": 0}, "micro_batch = 0"),
        ({"blocks": toy_blocks(0)}, "blocks = 0"),
        ({"blocks": toy_blocks(vocab_size=64)}, "blocks.vocab_size = 64: must be <= 32"),
        ({"config": replace(CONFIG, train_examples=8)}, "train_examples = 8"),
        ({"config": replace(CONFIG, stop_accuracy=0.9)}, "stop_accuracy = 0.9"),
    ],
)
def test_wrong_use_is_named(change, named):
    arguments = {"blocks": toy_blocks(), "config": CONFIG} | change
    with pytest.raises(ValueError) as error:
        train_text(toy_model(), **arguments)
    assert named in str(error.value)


def test_a_lost_loss_ends_the_training():
    model = toy_model("full")
    model.embedding.weight.data[:] = math.inf
    with pytest.raises(Diverged, match=r"lr = 0\.01: the loss is nan at step 1"):
        train_text(model, toy_blocks(), CONFIG)


@pytest.mark.parametrize("preset", PRESETS)
def test_compared_models_have_the_same_size(preset):
    sizes = {}
    for mixer in MIXERS_ON_TEXT:
        with torch.device("meta"):
            sizes[mixer] = LanguageModel(PRESETS[preset].run(mixer).model).num_parameters()
    assert max(sizes.values()) <= 1.01 * min(sizes.values()), sizes
    assert set(PRESETS[preset].mixers) <= set(MIXERS_ON_TEXT)


def test_slices_and_their_perplexities():
    tokens = np.array([[1, 2, 3, 1, 2, 4, 1, 4, 5]])
    counts = bigram_counts(np.array([1, 2, 1, 2, 1, 2, 7]))  # 1 2 is common there
    slices = masks(tokens, counts, threshold=1, wide=3)
    assert not slices["ar"].any() and slices["other"].all()
    assert np.flatnonzero(slices["wide_ar"]).tolist() == [3]
    assert np.flatnonzero(slices["repeated"]).tolist() == [3]
    assert np.flatnonzero(slices["opportunity"]).tolist() == [4, 7]
    losses = np.log(np.arange(1, 9, dtype=np.float32))[None]
    measured = perplexities(losses, slices)
    assert measured["wide_ar_ppl"] == pytest.approx(4) and "ar_ppl" not in measured
    assert measured["ppl"] == pytest.approx(math.factorial(8) ** (1 / 8), abs=1e-3)


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A preset that trains in a second on a folder of three files."""
    for i in range(3):
        (tmp_path / f"{i}.txt").write_text(f"Exit Caliban {i}, a bear. Enter Caliban. " * 60)
    preset = replace(
        PRESETS["laptop"],
        text=Text(str(tmp_path), 32, held_out=0.4),
        d_model=16,
        parameters=40_000,
        train=TrainConfig(steps=3, batch_size=4, eval_examples=5, eval_every=2),
    )
    monkeypatch.setitem(PRESETS, "laptop", preset)
    return preset


def test_a_run_that_diverged_has_a_row_and_the_next_one_is_done(tiny, tmp_path):
    lost = replace(tiny, train=replace(tiny.train, lr=1e30, clip=1e30)).run("base_conv")
    table = run_all([lost, tiny.run("base_conv")], tmp_path / "text.csv")
    assert table["ppl"].isna().tolist() == [True, False]
    assert table["tokens"].notna().all()


def test_a_table_of_the_book_takes_its_own_runs_only():
    for options in (
        ["--steps", "5"],
        ["--seed", "7"],
        ["--source", "."],
        ["--mixer", "hybrid_random"],
    ):
        result = CliRunner().invoke(app, ["text", "--preset", "laptop", *options])
        assert result.exit_code == 2 and "--out" in result.output, result.output


def test_a_dataset_without_an_end_is_not_read_to_it():
    run = PRESETS["laptop"].run("base_conv", steps=10, source="hf:endless")
    assert run.text.max_tokens == 2 * 10 * 8 * 256
    assert PRESETS["gpu"].run("attention").text.max_tokens == 210_000_000


def test_layers_that_draw_have_seeds_of_their_own():
    run = replace(PRESETS["pile"], parameters=128_000_000).run("hybrid_random", seed=1)
    drawn = [x.options["seed"] for x in run.model.layers if x.mixer == "sparse_attention"]
    assert drawn == [1, 1001, 2001]


def test_a_row_says_which_rows_ask(tiny, tmp_path):
    mixers = ("hybrid_induction", "hybrid_programmatic_induction", "hybrid_random_induction")
    table = run_all([tiny.run(m) for m in mixers], tmp_path / "text.csv").set_index("mixer")
    none, programmatic, random = (table.loc[m, "asking_share"] for m in mixers)
    assert math.isnan(none) and random == pytest.approx(0.44, abs=0.1)
    corpus = tiny.text.load()
    inputs = corpus.held_out.examples().inputs
    expected = seen_before(inputs, blank=None).double().mean().item()
    assert programmatic == pytest.approx(expected, abs=1e-4)
    # A hit's bigram was seen before, so the row that predicts it asks.
    assert table.loc["hybrid_programmatic_induction", "asking_ar_share"] == 1
    assert 0 < table.loc["hybrid_random_induction", "asking_ar_share"] < 1


def test_what_is_drawn_differs_from_seed_to_seed():
    for mixer in ("hybrid_random_induction", "hybrid_learned_induction"):
        runs = [PRESETS["laptop"].run(mixer, seed) for seed in (0, 1)]
        assert [run.model.layers[1].options["seed"] for run in runs] == [0, 1]


def test_a_row_a_run_and_the_losses_beside_it(tiny, tmp_path):
    out = tmp_path / "out" / "text.csv"
    runs = [tiny.run(mixer, seed=0) for mixer in ("base_conv", "hybrid_induction")]
    table = run_all(runs, out, command="a test")
    assert list(table.columns) == list(COLUMNS)
    assert table["mixer"].tolist() == ["base_conv", "hybrid_induction"]
    assert table["init"].tolist() == ["usual", "induction"]
    row = table.iloc[0]
    losses = losses_of(out, row["run"])
    assert losses.size == row["held_out_tokens"]
    assert math.exp(losses.astype(float).mean()) == pytest.approx(row["ppl"], abs=1e-3)
    assert [m["step"] for m in json.loads(row["curve"])] == [2, 3]
    assert row["tokens"] == 3 * 4 * 32
    before = out.read_bytes()
    assert len(run_all(runs, out)) == 2 and out.read_bytes() == before
    with pytest.raises(ValueError, match="run = 'nothing'"):
        losses_of(out, "nothing")


def test_the_command_goes_on_where_it_stopped(tiny, tmp_path, monkeypatch):
    out = tmp_path / "text.csv"
    command = ["text", "--preset", "laptop", "--mixer", "base_conv", "--out", str(out)]

    def interrupt(*args, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(text_runs, "token_losses", interrupt)
        stopped = CliRunner().invoke(app, [*command, "--seed", "1"])
    assert (stopped.exit_code, out.exists()) == (130, False)
    assert (
        "1 runs, 0 done, 1 to go"
        in CliRunner().invoke(app, [*command, "--seed", "1", "--dry-run"]).stdout
    )
    assert CliRunner().invoke(app, [*command, "--seed", "1"]).exit_code == 0
    assert "3 runs, 1 done, 2 to go" in CliRunner().invoke(app, [*command, "--dry-run"]).stdout
    assert len(list(runs_folder(out).glob("*.pt"))) == 1
    note = json.loads(out.with_suffix(".json").read_text())
    assert note["commands"][0]["device"] == "cpu"


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
    with pytest.raises(ValueError, match="tokenizer = 'bpe': must be 'committed'"):
        Text("hf:plays", tokenizer="bpe").load()


def test_a_passage_shows_the_models_side_by_side(tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(PRESETS, "laptop", replace(tiny, mixers=("base_conv", "attention")))
    out = tmp_path / "text.csv"
    done = CliRunner().invoke(app, ["text", "--preset", "laptop", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert len(pd.read_csv(out)) == 6
    shown = pd.read_csv(tmp_path / "text_passage.csv", keep_default_na=False)
    assert list(shown) == "block document token ar opportunity base_conv attention".split()
    assert len(shown) == 2 * 32 and shown["block"].nunique() == 2
    assert (shown["ar"] <= shown["opportunity"]).all()
    first = pd.read_csv(out).query("mixer == 'attention' and seed == 0")["run"].item()
    saved = losses_of(out, first)[shown["block"].unique()].ravel()
    assert shown["attention"].to_numpy() == pytest.approx(saved, abs=1e-3)
    assert "Caliban" in "".join(shown["token"])
    documents = pd.read_csv(tmp_path / "text_documents.csv")
    assert len(documents) == 2 * documents["document"].nunique()
    of_one = documents.query("mixer == 'attention'")
    row = pd.read_csv(out).set_index("run").loc[first]
    assert of_one["tokens"].sum() == row["held_out_tokens"]
    together = (of_one["tokens"] * np.log(of_one["ppl"])).sum() / of_one["tokens"].sum()
    assert np.exp(together) == pytest.approx(row["ppl"], rel=1e-4)
    hits = of_one["ar_tokens"].sum() / of_one["tokens"].sum()
    assert hits == pytest.approx(row["ar_share"], abs=1e-6)
    with pytest.raises(ValueError, match="must be one whose losses are kept"):
        passage(out, PRESETS["laptop"], seed=7)


def test_a_passage_is_kept_where_losses_of_another_machine_are_missing(tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(PRESETS, "laptop", replace(tiny, mixers=("base_conv", "attention")))
    command = ["text", "--preset", "laptop", "--out", str(tmp_path / "text.csv")]
    assert CliRunner().invoke(app, command).exit_code == 0
    made = (tmp_path / "text_passage.csv").read_bytes()
    for losses in (tmp_path / "text_runs").glob("*.npy"):
        losses.unlink()
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 0 and "text_passage.csv stays as it is" in again.output
    assert (tmp_path / "text_passage.csv").read_bytes() == made


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "desktop"], "preset = 'desktop': must be one of laptop, gpu, pile"),
        (["--preset", "laptop", "--mixer", "attn"], "mixer = 'attn': must be one of attention, "),
        (
            ["--preset", "laptop", "--source", "no/such"],
            "source = 'no/such': must be 'shakespeare'",
        ),
    ],
)
def test_a_wrong_command_is_answered_in_one_line(options, message, tmp_path):
    result = CliRunner().invoke(app, ["text", *options, "--out", str(tmp_path / "text.csv")])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"zoology-teach: {message}") and result.stderr.count("\n") == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is at hand")
def test_a_preset_for_a_gpu_says_that_there_is_none(tmp_path):
    out = str(tmp_path / "text.csv")
    result = CliRunner().invoke(app, ["text", "--preset", "gpu", "--out", out])
    assert result.exit_code == 2
    assert result.stderr.startswith("zoology-teach: device = 'cuda': must be there; no GPU")


if __name__ == "__main__":
    main(*sys.argv[1:])
