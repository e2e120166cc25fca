"""``zoology-teach sweep`` and ``zoology-teach text``: a table of runs from the command line.

Heavy modules are imported inside the commands, so that --help answers at once.
"""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoology_teach.checks import choose
from zoology_teach.files import book

if TYPE_CHECKING:
    from zoology_teach.experiments.sweep import Run
    from zoology_teach.experiments.text_presets import Preset

Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE.py", help="A file with mixers of your own."),
]
Out = Annotated[Path | None, typer.Option(help="The table. [default: book/results/…]")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count the runs.")]


def sweep(
    name: Annotated[str, typer.Argument(help="Which measurement, for example figure2.")],
    preset: Annotated[
        str, typer.Option(help="laptop, usual, paper, ...: the scale and the start.")
    ],
    plugin: Plugins = None,
    mixer: Annotated[list[str] | None, typer.Option(help="This curve only.")] = None,
    width: Annotated[list[int] | None, typer.Option(help="This width only.")] = None,
    length: Annotated[list[int] | None, typer.Option(help="This length only.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="This seed only.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Updates. [the preset's]")] = None,
    out: Out = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes at a time.")] = None,
    executor: Annotated[
        str | None,
        typer.Option(metavar="dask://HOST:PORT", help="Run on the cluster of this scheduler."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, or cuda for a GPU.")] = "cpu",
    dry_run: DryRun = False,
) -> None:
    """Measure a table of the book. Started again, it continues where it stopped.

    With --plugin the mixers of the file are measured, by the names file:Class. Options that
    choose (--mixer, --width, ...) may be given several times.
    """
    from zoology_teach.experiments.chosen import chosen
    from zoology_teach.experiments.synthetic_presets import PRESETS

    make = choose("preset", preset, choose("sweep", name, PRESETS))
    mixers = list(dict.fromkeys([*(mixer or []), *_plugged(plugin)]))
    own = {run.id for run in make()}
    runs = chosen(
        make,
        mixers=mixers,
        widths=width or (),
        lengths=length or (),
        seeds=seed or (),
        steps=steps,
    )
    stem = name if preset == "laptop" else f"{name}_{preset}"
    of_the_table = all(run.id in own for run in runs)
    table = _table(out, stem, of_the_table)
    _measure(runs, table, dry_run, executor, workers, device, plugin)


def text(
    preset: Annotated[str, typer.Option(help="laptop, longer, gpu_shipped, gpu or pile.")],
    plugin: Plugins = None,
    mixer: Annotated[str | None, typer.Option(help="One model. [default: the table's]")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="One seed. [default: 0, 1, 2]")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Updates. [the preset's]")] = None,
    lr: Annotated[
        float | None, typer.Option(help="Learning rate on the text. [the preset's]")
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="FOLDER|hf:NAME", help="Another text.")
    ] = None,
    out: Out = None,
    dry_run: DryRun = False,
) -> None:
    """Train models on text and measure where they lose. Started again, it continues.

    On several GPUs: torchrun --nproc-per-node 8 --no-python zoology-teach text ...
    """
    from zoology_teach.experiments.executors import HERE
    from zoology_teach.experiments.text_presets import PRESETS, SEEDS

    chosen = asked = choose("preset", preset, PRESETS)
    if source is not None:
        of = replace(chosen.text, source=source, held_out=None).as_found()
        asked = replace(chosen, text=of, choosing=())
    plugged = _plugged(plugin)
    if mixer or plugged:
        asked = asked.only([mixer] if mixer else plugged)
    if lr is not None:
        asked = replace(asked, rates={name: (lr, lr) for name in (*asked.mixers, *asked.controls)})
    runs = asked.runs(SEEDS if seed is None else [seed], steps=steps)
    known = [m for m in (*chosen.mixers, *chosen.controls) if m in (*asked.mixers, *asked.controls)]
    own = {run.id for run in chosen.only(known).runs()}
    stem = "text" if preset == "laptop" else f"text_{preset}"
    table = _table(out, stem, all(run.id in own for run in runs))
    _measure(runs, table, dry_run, HERE, None, chosen.device, plugin)
    if {run.id for run in runs} == own and chosen == chosen.only(known) and not dry_run:
        _show_held_out(table, chosen)


def _plugged(plugins: list[Path] | None) -> list[str]:
    """The names of the mixers in these files."""
    from zoology_teach.mixers.plugin import load

    return [name for path in plugins or [] for name in load(path)]


def _table(out: Path | None, stem: str, of_the_table: bool) -> Path:
    """Where the rows go: to the book's table only runs that are its own."""
    from zoology_teach.experiments.results import require_table

    if out is None and not of_the_table:
        raise typer.BadParameter(
            f"needed here: {stem}.csv holds the preset's own runs", param_hint="--out"
        )
    return require_table(out or book() / "results" / f"{stem}.csv")


def _measure(
    runs: Sequence["Run"],
    table: Path,
    dry_run: bool,
    executor: str | None,
    workers: int | None,
    device: str,
    plugins: Sequence[Path] | None,
) -> None:
    """Do what is missing, or only count it."""
    from zoology_teach.experiments import sweep as sweeps
    from zoology_teach.experiments.results import require_same_plugins
    from zoology_teach.mixers.plugin import content

    if dry_run:
        require_same_plugins(table, sorted(map(content, plugins or ())))
        done = len(sweeps.finished(table, runs))
        typer.echo(f"{table.name}: {len(runs)} runs, {done} done, {len(runs) - done} to go")
        return
    sweeps.run(
        runs,
        out=table,
        executor=executor,
        workers=workers,
        device=device,
        command=shlex.join(["zoology-teach", *sys.argv[1:]]),
        plugins=plugins or (),
    )
    typer.echo(table)


def _show_held_out(table: Path, preset: "Preset") -> None:
    """Beside the table: a passage token by token, how each goes on, perplexities by document."""
    from zoology_teach.experiments.results import is_replaceable, write
    from zoology_teach.experiments.text_continued import continued
    from zoology_teach.experiments.text_held_out import by_document, passage

    tables = {"passage": passage, "continued": continued, "documents": by_document}
    for name, make in tables.items():
        beside = table.with_name(f"{table.stem}_{name}.csv")
        try:
            shown = make(table, preset)
        except ValueError as error:  # runs of another machine leave no losses here
            typer.echo(f"{beside.name} stays as it is: {error}")
            continue
        if is_replaceable(beside, shown):
            write(shown, beside)
            typer.echo(beside)
        else:
            typer.echo(f"{beside.name} stays as it is: it is another table")
