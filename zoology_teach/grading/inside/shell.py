"""The shell in which a notebook's cells run: IPython's own, without a terminal or commands.

What a cell can do in Jupyter it can do here: top-level `await`, `Out` and `_`, magics with
their options, `get_ipython()` by every route. A magic that reaches for what is not here (a
package index, a shell command, a file) does nothing instead of costing the rest of its cell.
"""

import ast
import asyncio
import re
import sys
from collections.abc import Callable
from typing import Any, cast

from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.text import SList
from traitlets.config import Config

TIMED = re.compile(r"\A\s*%%time[ \t]*(?=\n)")  # the times of a grader's machine say nothing
AWAITED = re.compile(r"^([ \t]*)%time[ \t]+(?=.*\bawait\b)", re.MULTILINE)
RUN_CODE = ("time", "timeit", "prun", "run")  # line magics whose errors are those of the cell


class Shell(InteractiveShell):
    """IPython's shell as Jupyter's kernel uses it, except that errors are raised, not shown."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.events_loop: asyncio.AbstractEventLoop | None = None
        self.makes_tasks = False  # a cell has named asyncio: a later one may use what it imported
        self.cell = self.parts = 0
        self.compile.get_code_name = self._code_name  # type: ignore[method-assign, assignment]  # takes anything
        self.user_ns.update(exit=sys.exit, quit=sys.exit)
        self.set_hook("show_in_pager", lambda *_, **__: None)

    def run(self, cell: int, source: str) -> None:
        """Run a cell; raises what it raises."""
        self.cell, self.parts = cell, 0
        source = AWAITED.sub(r"\1", TIMED.sub("", source))  # in a magic nothing can be awaited
        try:
            transformed, problem = self.transform_cell(source), None
        except Exception:
            transformed, problem = source, sys.exc_info()
        given = {"transformed_cell": transformed, "preprocessing_exc_tuple": problem}
        self.makes_tasks |= "asyncio" in source
        may_make_tasks = self.makes_tasks and "asyncio.run" not in source
        in_loop = may_make_tasks or self.should_run_async(source, **given)
        running = self.run_cell_async(source, store_history=True, **given)
        try:
            result = self._finish(running, in_loop)
        finally:
            self.events.trigger("post_execute")
        self.events.trigger("post_run_cell", result)
        raise_error_of(result)

    def _code_name(self, *_: Any) -> str:
        """The file name of code, in syntax errors and for `inspect`, which Triton needs."""
        self.parts += 1
        part = f", part {self.parts}" if self.parts > 1 else ""
        return f"<cell {self.cell}{part}>"

    def _finish(self, running: Any, in_loop: bool) -> Any:
        """Run a coroutine to its end; in an event loop, as in Jupyter, where that matters."""
        if not in_loop:
            run = cast("Callable[[Any], Any]", self.loop_runner_map["sync"][0])
            return run(running)
        if self.events_loop is None:
            self.events_loop = asyncio.new_event_loop()
        try:
            return self.events_loop.run_until_complete(running)
        except BaseException:
            self.events_loop = None  # it is still in the middle of what was interrupted
            raise

    def run_line_magic(self, magic_name: str, line: str, _stack_depth: int = 1) -> Any:
        """Run a line magic. One that cannot do here what it does elsewhere does nothing."""
        if magic_name == "notebook":  # it signs what it writes, and waits for a database
            return None
        if magic_name == "timeit":
            line = self._once(line)
        try:
            return super().run_line_magic(magic_name, line, _stack_depth + 1)
        except Exception:
            if magic_name in RUN_CODE:
                raise

    def run_cell_magic(self, magic_name: str, line: str, cell: str) -> Any:
        """Run a cell magic. An unknown one in front of Python code runs the code."""
        if magic_name in self.magics_manager.registry["ScriptMagics"].magics["cell"]:
            return None
        known = self.find_cell_magic(magic_name) is not None
        if magic_name == "time" or (not known and is_python(self.transform_cell(cell))):
            return raise_error_of(self.run_cell(cell))
        return super().run_cell_magic(
            magic_name, self._once(line) if magic_name == "timeit" else line, cell
        )

    def _once(self, line: str) -> str:
        """The line of a %timeit, to be run once: the times of a grader's machine say nothing."""
        magics = self.magics_manager.registry["ExecutionMagics"]
        options, statement = magics.parse_options(
            line, "n:r:tcp:qov:", posix=False, strict=False, preserve_non_opts=True
        )
        kept = [f"-{name}" for name in ("t", "c", "q", "o") if name in options]
        kept += [f"-{name} {options[name]}" for name in ("p", "v") if name in options]
        return " ".join(["-n 1 -r 1", *kept, statement])

    def magic(self, line: str) -> Any:
        """Run a line magic, as old notebooks that became scripts ask for it."""
        name, _, rest = line.lstrip("%").partition(" ")
        return self.run_line_magic(name, rest.strip(), _stack_depth=2)

    def system(self, cmd: str) -> None:
        """Nothing: no shell command runs."""

    system_raw = system_piped = system

    def getoutput(self, cmd: str, split: bool = True, depth: int = 0) -> SList:
        """Nothing: no shell command runs."""
        return SList()

    def enable_matplotlib(self, gui: str | None = None) -> tuple[None, str]:
        """Nothing: figures are drawn into memory, and nobody looks."""
        return None, "agg"

    def showtraceback(self, *_: Any, **__: Any) -> None:
        """Nothing: the grader says what was raised."""

    showsyntaxerror = showindentationerror = showtraceback

    def _format_exception_for_storage(self, *_: Any, **__: Any) -> dict:
        return {}


def the_shell() -> Shell:
    """The one shell of this process."""
    config = Config()
    config.HistoryManager.enabled = False
    return Shell.instance(config=config)


def raise_error_of(result: Any) -> None:
    """Raise what ended a cell, if anything did."""
    for error in (result.error_before_exec, result.error_in_exec):
        if error is not None:
            raise error


def is_python(source: str) -> bool:
    """Whether a text can be parsed as Python."""
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return True
