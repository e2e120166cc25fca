"""The command line: ``zoology-teach doctor | sweep | text | build | release | grade``.

Heavy modules are imported inside the commands, so that --help answers at once.
"""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from zoology_teach import doctor as doctors


class OneLineErrors(TyperGroup):
    """Wrong input ends in one line on stderr and status 2; an interrupt in status 130."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # `... | head` is not an error; typer ends quietly
            raise
        except (ValueError, OSError) as error:
            complaint = str(error)
        except ImportError as error:
            complaint = f"{error}; to repair: zoology-teach doctor"
        except KeyboardInterrupt:
            typer.echo("interrupted; what was finished is kept", err=True)
            raise typer.Exit(130) from None
        typer.echo(f"zoology-teach: {' '.join(complaint.split())}", err=True)
        raise typer.Exit(2)


app = typer.Typer(
    cls=OneLineErrors,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The tools of the book: what works here, measured tables, chapters, exercises.",
)


def root() -> Path:
    """Where book/, solutions/ and exercises/ lie: the checkout, or else the current folder."""
    return doctors.checkout() or Path.cwd()


def choose(what: str, name: str, choices: dict):
    """``choices[name]``, or a ValueError that lists them."""
    if name not in choices:
        raise ValueError(f"{what} = {name!r}: must be one of {', '.join(choices)}")
    return choices[name]


@app.command()
def doctor() -> None:
    """Say what works on this machine, and what to do about what does not."""
    raise typer.Exit(doctors.main())


@app.command()
def sweep(
    name: Annotated[str, typer.Argument(help="Which measurement, for example figure2.")],
    preset: Annotated[str, typer.Option(help="laptop, or paper for the paper's own set-up.")],
    out: Annotated[Path | None, typer.Option(help="The table. [default: book/results/…]")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes at a time.")] = None,
    executor: Annotated[
        str | None,
        typer.Option(metavar="dask://HOST:PORT", help="Run on the cluster of this scheduler."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the runs.")] = False,
) -> None:
    """Measure a table of the book. Started again, it continues where it stopped."""
    from zoology_teach.experiments import sweep as sweeps
    from zoology_teach.experiments.synthetic_presets import PRESETS

    grid = choose("preset", preset, choose("sweep", name, PRESETS))()
    stem = name if preset == "laptop" else f"{name}_{preset}"
    out = out or root() / "book" / "results" / f"{stem}.csv"
    if dry_run:
        done = len(sweeps.finished(out, grid))
        typer.echo(f"{out.name}: {len(grid)} runs, {done} done, {len(grid) - done} to go")
        return
    command = shlex.join(["zoology-teach", *sys.argv[1:]])
    sweeps.run(grid, out=out, executor=executor, workers=workers, command=command)
    typer.echo(out)


@app.command()
def text(
    preset: Annotated[str, typer.Option(help="laptop, gpu or pile: size, text and budget.")],
    mixer: Annotated[str | None, typer.Option(help="One model. [default: the table's]")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="One seed. [default: 0, 1, 2]")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Updates. [the preset's]")] = None,
    source: Annotated[
        str | None, typer.Option(metavar="FOLDER|hf:NAME", help="Another text.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The table. [default: book/results/…]")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the runs.")] = False,
) -> None:
    """Train models on text and measure where they lose. Started again, it continues.

    On several GPUs: torchrun --nproc-per-node 8 --no-python zoology-teach text ...
    """
    from zoology_teach.experiments import text_runs
    from zoology_teach.experiments.results import write
    from zoology_teach.experiments.text_documents import by_document
    from zoology_teach.experiments.text_held_out import passage
    from zoology_teach.experiments.text_presets import PRESETS, SEEDS

    chosen = choose("preset", preset, PRESETS)
    runs = [
        chosen.run(name, one, steps=steps, source=source)
        for one in (SEEDS if seed is None else [seed])
        for name in (chosen.mixers if mixer is None else [mixer])
    ]
    stem = "text" if preset == "laptop" else f"text_{preset}"
    changed = steps is not None or source is not None or seed not in (None, *SEEDS)
    of_the_table = not changed and mixer in (None, *chosen.mixers)
    if out is None and not of_the_table:
        raise typer.BadParameter(
            f"needed here: {stem}.csv holds the preset's own runs", param_hint="--out"
        )
    out = out or root() / "book" / "results" / f"{stem}.csv"
    if dry_run:
        finished = text_runs.finished(out)
        done = sum(text_runs.fingerprint(run) in finished for run in runs)
        typer.echo(f"{out.name}: {len(runs)} runs, {done} done, {len(runs) - done} to go")
        return
    command = shlex.join(["zoology-teach", *sys.argv[1:]])
    table = text_runs.run_all(runs, out, chosen.device, command=command, progress=True)
    if of_the_table and mixer is None and seed is None and len(table):
        for name, make in {"passage": passage, "documents": by_document}.items():
            beside = out.with_name(f"{out.stem}_{name}.csv")
            try:
                write(make(out, chosen), beside)
            except ValueError as error:  # runs of another machine leave no losses here
                typer.echo(f"{beside.name} stays as it is: {error}")
            else:
                typer.echo(beside)
    typer.echo(out)


@app.command()
def build(
    chapters: Annotated[list[Path] | None, typer.Argument(help="Sources. [default: all]")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also where nothing changed.")] = False,
) -> None:
    """Run the chapters whose text has changed and store their outputs."""
    from nbclient.exceptions import CellExecutionError

    from zoology_teach import chapters as sources

    book = root() / "book"
    for path in chapters or [*sorted(book.glob("[0-9][0-9]_*.md")), *book.glob("teacher.md")]:
        try:
            executed = sources.build(path, force=force)
        except CellExecutionError as error:  # its text is the cell and where in it this happened
            typer.echo(f"zoology-teach: a cell of {path.name} failed\n{error}", err=True)
            raise typer.Exit(1) from None
        typer.echo(f"{path.name}: {'executed' if executed else 'nothing changed'}")


@app.command()
def release(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if stale.")] = False,
    nbgrader: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Instead, assignments in the nbgrader course DIR."),
    ] = None,
) -> None:
    """Write the exercises that students get from the solutions, and the marking guide."""
    if nbgrader is None:
        from zoology_teach.grading.release import release as write

        target = root() / "exercises"
    else:
        from zoology_teach.grading.nbgrader import release as write

        target = nbgrader
    done = write(root() / "solutions", target, check=check)
    for path in done.written:
        typer.echo(f"{'stale' if check else 'written'}: {path.name}")
    for path in done.removed:
        typer.echo(f"{'without a solution' if check else 'removed'}: {path.name}")
    for path in done.kept:
        typer.echo(f"kept, for it is not as a release wrote it: {path}", err=True)
    if done.kept or (check and (done.written or done.removed)):
        raise typer.Exit(1)


@app.command()
def grade(
    submissions: Annotated[Path, typer.Argument(help="A folder or zip of notebooks.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder for the results.")],
    exercise: Annotated[
        str | None, typer.Option(metavar="NN", help="This chapter only, for example 02.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the inputs. [default: secret]")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Submissions at a time.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds a submission. [60]")] = None,
    sandbox: Annotated[str, typer.Option(help="auto, bwrap, or none: see the guide.")] = "auto",
    export: Annotated[
        str | None, typer.Option(help="Also the file of: canvas, moodle, gradescope.")
    ] = None,
) -> None:
    """Grade a class. Started again, it continues where it stopped."""
    from collections import Counter

    from tqdm import tqdm

    from zoology_teach.grading.feedback import NO_SANDBOX
    from zoology_teach.grading.grade import grade as run

    solutions = root() / "solutions"
    graded = run(
        submissions,
        out,
        chapter=exercise,
        seed=seed,
        jobs=jobs,
        seconds=timeout,
        sandbox=sandbox,
        platform=export,
        solutions=solutions if solutions.is_dir() else None,
        progress=lambda done, of: tqdm(done, total=of, unit="submission"),
    )
    for note in graded.notes:
        typer.echo(f"note: {note}")
    statuses = Counter(g.status for g in graded.graded)
    counts = ", ".join(f"{number} {status}" for status, number in sorted(statuses.items()))
    typer.echo(f"{len(graded.graded)} submissions ({counts}): {out / 'grades.csv'}")
    if not graded.sandboxed:
        typer.secho(NO_SANDBOX, fg="red", bold=True, err=True)


def main() -> None:
    """The console script ``zoology-teach``."""
    app(prog_name="zoology-teach")
