"""Some of a preset's runs: what the options of `zoology-teach sweep` choose."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from zoology_teach.checks import require, require_int
from zoology_teach.experiments.synthetic_presets import TAKE_ANY_MIXER, Grid
from zoology_teach.experiments.synthetic_runs import SyntheticRun
from zoology_teach.mixers import find


def chosen(
    make: Grid,
    *,
    mixers: Sequence[str] = (),
    widths: Sequence[int] = (),
    lengths: Sequence[int] = (),
    seeds: Sequence[int] = (),
    steps: int | None = None,
) -> Sequence[SyntheticRun]:
    """The runs of a preset with one of the values named; without any of a kind, all of them.

    mixers  names of the preset's curves, or for a preset that takes any mixer, as in `find`.
    steps   another number of updates, which makes them other runs.

    Raises ValueError naming what leaves no run.
    """
    runs: Sequence[SyntheticRun]
    if make in TAKE_ANY_MIXER and mixers:
        own = {r.mixer for r in make()}
        for mixer in mixers:
            if mixer not in own:
                find(mixer)
        runs = make(mixers)
    else:
        runs = _with_values(make(), "mixer", lambda r: r.mixer, mixers)
    runs = _with_values(runs, "width", lambda r: r.model.d_model, widths)
    runs = _with_values(runs, "length", lambda r: r.task.seq_len, lengths)
    runs = _with_values(runs, "seed", lambda r: r.train.seed, seeds)
    if steps is not None:
        require_int("steps", steps, 1)
        runs = [replace(r, train=replace(r.train, steps=steps)) for r in runs]
    return runs


def _with_values(
    runs: Sequence[SyntheticRun], name: str, value: Callable, wanted: Sequence
) -> list[SyntheticRun]:
    there = list(dict.fromkeys(value(r) for r in runs))
    for one in wanted:
        require(one in there, name, one, f"one of {there}")
    return [r for r in runs if not wanted or value(r) in wanted]
