"""The command line: ``zoology-teach doctor | sweep | build | grade | mark ...``.

Heavy modules are imported inside the commands, so that --help answers at once.
"""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from zoology_teach import doctor as doctors
from zoology_teach.experiments import commands
from zoology_teach.files import book, checkout


class OneLineErrors(TyperGroup):
    """Wrong input ends in one line on stderr and status 2; an interrupt in status 130."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # its own is private
        """Run the command, and turn what it raises into one line and a status."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # `... | head` is not an error; typer ends quietly
            raise
        except (ValueError, OSError) as error:
            complaint = str(error)
        except ImportError as error:
            missing = (error.name or "").partition(".")[0].replace("_", "-")
            complaint = f"{error}; to repair: {doctors.install_command(missing)}"
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


@app.command()
def doctor() -> None:
    """Say what works on this machine, and what to do about what does not."""
    raise typer.Exit(doctors.main())


app.command()(commands.sweep)
app.command()(commands.text)


@app.command()
def examine(
    plugin: Annotated[Path, typer.Argument(metavar="FILE.py", help="Mixers of your own.")],
) -> None:
    """Check what every mixer keeps (causal, step, state, ...) on the mixers of a file."""
    from zoology_teach.mixers.plugin import load
    from zoology_teach.mixers.properties import examine as run

    failed = 0
    for name in load(plugin):
        typer.echo(name)
        for found in run(name):
            failed += found.passed is False
            typer.echo(f"  {found.verdict:4} {found.name}: {found.saw or found.says}")
    if failed:
        raise typer.Exit(1)


def chapter_sources(folder: Path) -> list[Path]:
    """What is built when nothing is named: the chapters in order, then the pages about them."""
    pages = (folder / name for name in ("index.md", "glossary.md", "teacher.md"))
    return [*sorted(folder.glob("[0-9][0-9]_*.md")), *(page for page in pages if page.exists())]


@app.command()
def build(
    chapters: Annotated[list[Path] | None, typer.Argument(help="Sources. [default: all]")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also where nothing changed.")] = False,
) -> None:
    """Run the chapters whose text has changed and store their outputs."""
    sources_there = chapters or chapter_sources(book())
    from nbclient.exceptions import CellExecutionError

    from zoology_teach import chapters as sources

    for path in sources_there:
        try:
            done = sources.build(path, force=force)
        except CellExecutionError as error:  # its text is the cell and where in it this happened
            typer.echo(f"zoology-teach: a cell of {path.name} failed\n{error}", err=True)
            raise typer.Exit(1) from None
        typer.echo(f"{path.name}: {done or 'nothing changed'}")


@app.command()
def trust() -> None:
    """Let JupyterLab show the book's own widgets before a cell has run."""
    from zoology_teach import chapters as sources

    typer.echo(f"trusted: {len(sources.trust(book()))} notebooks of the book")


@app.command()
def release(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if stale.")] = False,
    nbgrader: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Instead, assignments in the nbgrader course DIR."),
    ] = None,
) -> None:
    """Write the exercises that students get from the solutions, and the marking guide."""
    root = book().parent
    if nbgrader is None:
        from zoology_teach.grading.release import release as to_students

        done = to_students(root / "solutions", root / "exercises", check=check)
    else:
        from zoology_teach.grading.nbgrader import release as to_course

        done = to_course(root / "solutions", nbgrader, check=check)
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

    graded = run(
        submissions,
        out,
        chapter=exercise,
        seed=seed,
        jobs=jobs,
        seconds=timeout,
        sandbox=sandbox,
        platform=export,
        solutions=_solutions(),
        progress=lambda done, of: tqdm(done, total=of, unit="submission"),
    )
    for note in graded.notes:
        typer.echo(f"note: {note}")
    statuses = Counter(g.status for g in graded.graded)
    counts = ", ".join(f"{number} {status}" for status, number in sorted(statuses.items()))
    typer.echo(f"{len(graded.graded)} submissions ({counts}): {out / 'grades.csv'}")
    if not graded.sandboxed:
        typer.secho(NO_SANDBOX, fg="red", bold=True, err=True)


def _solutions() -> Path | None:
    """The folder of the solutions, with the rubrics, where there is one."""
    folder = (checkout() or Path.cwd()) / "solutions"
    return folder if folder.is_dir() else None


@app.command()
def mark(
    out: Annotated[Path, typer.Argument(help="The folder that a class was graded into.")],
    merge: Annotated[
        list[Path] | None,
        typer.Option(metavar="CSV", help="Instead, take over the marks of another's manual.csv."),
    ] = None,
) -> None:
    """Mark the open answers of a class on a page in the browser, from the keyboard."""
    from zoology_teach.grading.mark import mark as run

    agreed = run(out, _solutions(), merge=tuple(merge or ()), say=typer.echo)
    if not agreed:
        raise typer.Exit(1)


def main() -> None:
    """The console script ``zoology-teach``."""
    app(prog_name="zoology-teach")
