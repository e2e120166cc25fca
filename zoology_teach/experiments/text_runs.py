"""One training on text -> one row of a table (chapter 10).

The losses of all held-out tokens stay beside the table (`losses_of`), so another slice needs no
other run; so does the last checkpoint of each run.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from zoology_teach.checks import require
from zoology_teach.configuration import as_json, fingerprint
from zoology_teach.experiments.results import device_name
from zoology_teach.experiments.sweep import runs_folder
from zoology_teach.experiments.text_slices import (
    asking_shares,
    measured,
    of_documents,
    perplexities,
    rows_that_ask,
)
from zoology_teach.files import replacing
from zoology_teach.model import LanguageModel, ModelConfig
from zoology_teach.tasks.source import Text
from zoology_teach.tasks.text import Corpus
from zoology_teach.training import Diverged, History, TrainConfig, token_losses, train
from zoology_teach.training.processes import from_the_first, rank_and_size

COLUMNS = tuple(
    (
        "run mixer init source seed d_model layers mlp parameters state_size vocab_size seq_len "
        "steps batch_size lr tokens seconds cpu_seconds device train_loss held_out_tokens ppl "
        "threshold ar_share ar_ppl other_ppl opportunity_share opportunity_ppl wide_threshold "
        "wide_ar_share wide_ar_ppl repeated_share repeated_ppl asking_share asking_ar_share "
        "curve config warm_up choosing_ppl"
    ).split()
)


@dataclass(frozen=True)
class TextRun:
    """One training on text.

    mixer        what the table calls the model.
    thresholds   training counts up to which a bigram is rare; the first one is the table's.
    micro_batch, bf16  as in `training.train`.
    choosing     held-out documents by which a learning rate is chosen ("choosing_ppl"); they are
                 in no other number of the row.
    """

    columns: ClassVar[tuple[str, ...]] = COLUMNS

    mixer: str
    text: Text
    model: ModelConfig
    train: TrainConfig
    thresholds: tuple[float, float]
    micro_batch: int | None = None
    bf16: bool = False
    choosing: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """`fingerprint` of the configuration."""
        return fingerprint(self)

    @property
    def name(self) -> str:
        """What sets it apart from the other runs of its table with the same seed."""
        return f"{self.mixer} taught" if self.train.before else self.mixer

    @property
    def label(self) -> str:
        """For a progress bar."""
        return f"{self.name}, seed {self.train.seed}"

    def execute(
        self, folder: Path, device: str = "cpu", *, progress: bool | str = False
    ) -> dict[str, Any]:
        """Train and measure; the row.

        Goes on from the checkpoint in `folder`, and leaves there the losses of the held-out
        tokens. A run whose row was lost is measured again without training: after a change to a
        mixer's code delete `folder` too.
        """
        corpus = self._corpus(folder)
        model = LanguageModel(self.model).to(device)
        history = self._train(model, corpus, folder, progress)
        if rank_and_size()[0] > 0:
            return {}
        held_out, slices = measured(self.text, self.thresholds, folder)
        with rows_that_ask(model) as asking:
            losses = token_losses(model, held_out, batch_size=self.micro_batch or 16)
        with replacing(folder / f"{self.id}.npy") as new, open(new, "wb") as file:
            np.save(file, losses)
        chosen_by = of_documents(held_out, self.choosing)
        chosen = perplexities(losses[chosen_by], {}) if self.choosing else {}
        losses, slices = _only(~chosen_by, losses, slices)
        shares = {f"{key}_share": round(float(mask.mean()), 6) for key, mask in slices.items()}
        del shares["other_share"]
        shares |= asking_shares(asking, ~chosen_by, slices["ar"])
        row = self._about(model, history) | perplexities(losses, slices) | shares
        row |= {"choosing_ppl": chosen.get("ppl", "")}
        return row | {"held_out_tokens": losses.size, "device": device_name(device)}

    def _corpus(self, folder: Path) -> Corpus:
        """The first process reads a dataset of the Hub and keeps its tokens; the others wait."""
        if rank_and_size()[0] == 0:
            self.text.load(folder)
        from_the_first(True)
        return self.text.load(folder)

    def _train(
        self, model: LanguageModel, corpus: Corpus, folder: Path, progress: bool | str
    ) -> History:
        at_a_time = self.micro_batch or 16

        def measure(model: LanguageModel) -> dict[str, float]:
            held_out, slices = measured(self.text, self.thresholds, folder)
            # Only some of the blocks, spread over all documents.
            some = slice(None, None, max(1, len(held_out) // self.train.eval_examples))
            losses = token_losses(model, held_out, some, batch_size=at_a_time)
            reported = ~of_documents(held_out, self.choosing)[some]
            masks = {key: mask[some] for key, mask in slices.items()}
            return perplexities(*_only(reported, losses, masks))

        try:
            history = train(
                model,
                corpus.train,
                self.train,
                measure=measure,
                checkpoint=folder / f"{self.id}.pt",
                micro_batch=self.micro_batch,
                bf16=self.bf16,
                progress=progress,
            )
        except Diverged as error:
            history = error.history
        if history.interrupted:
            raise KeyboardInterrupt
        return history

    def _about(self, model: LanguageModel, history: History) -> dict[str, Any]:
        """What a row says beside what was measured on the held-out tokens."""
        budget = self.train
        tokens = budget.steps * budget.batch_size * self.text.seq_len
        starts = [x.options["init"] for x in self.model.layers if "init" in x.options]
        curve = [{"step": r.step, **(r.measured or {})} for r in history.measured()]
        return {
            "run": self.id,
            "mixer": self.mixer,
            "init": starts[0] if starts else "usual",
            "source": self.text.source,
            "seed": budget.seed,
            "d_model": self.model.d_model,
            "layers": " ".join(x.mixer for x in self.model.layers),
            "mlp": self.model.mlp,
            "parameters": model.num_parameters(),
            "state_size": model.state_size(self.text.seq_len),
            "vocab_size": self.model.vocab_size,
            "seq_len": self.text.seq_len,
            "steps": budget.steps,
            "batch_size": budget.batch_size,
            "lr": budget.lr,
            "tokens": tokens,
            "seconds": round(history.seconds, 1),
            "cpu_seconds": round(history.cpu_seconds, 1),
            "train_loss": round(float(np.mean(history.losses[-100:] or [np.nan])), 5),
            "threshold": self.thresholds[0],
            "wide_threshold": self.thresholds[1],
            "curve": json.dumps(curve, separators=(",", ":")),
            "config": as_json(self),
            "warm_up": sum(stage.steps for stage in history.ended[: len(budget.before)]),
        }


def _only(
    reported: NDArray[np.bool_], losses: NDArray, slices: Mapping[str, NDArray]
) -> tuple[NDArray, dict[str, NDArray]]:
    """Losses and slices (T,) of the T tokens that are reported; all keep their order."""
    return losses[reported], {name: mask[reported] for name, mask in slices.items()}


def losses_of(out: str | Path, run: str) -> NDArray[np.float32]:
    """(B, N) the losses in nats of the held-out tokens, of a finished run by its id."""
    path = runs_folder(out) / f"{run}.npy"
    require(path.exists(), "run", run, f"one whose losses are kept in {path.parent}")
    try:
        return np.load(path)
    except (ValueError, EOFError) as error:
        reason = f"whole losses, not {path} ({error}); delete it and measure the run again"
        raise ValueError(f"run = {run!r}: must be one with {reason}") from None
