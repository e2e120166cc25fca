"""Test files as runs of a table: each in a process of its own, all at once, a row each."""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from zoology_teach import files
from zoology_teach.experiments import results

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = tuple("run file tests failed skipped seconds failures".split())


@dataclass(frozen=True)
class TestFiles:
    """Where `device` is cuda they compile the kernels, whatever TRITON_INTERPRET says.

    A row counts for the same file beside the same kernel tests, library and device.
    """

    __test__ = False  # pytest collects what is called Test

    paths: Sequence[Path]
    out: Path
    device: str

    def work(self, seconds: float, command: str) -> None:
        """Run what is missing; a file that takes longer leaves no row."""
        end = time.time() + seconds
        with files.sole_writer(self.out), ThreadPoolExecutor(os.cpu_count()) as pool:
            files.mend(self.out)
            about = results.environment() | {"device": results.device_name(self.device)}
            results.note_provenance(self.out, command, about)
            futures = [pool.submit(self._row, path, end) for path in self.missing()]
            for future in as_completed(futures):
                if (row := future.result()) is not None:
                    results.append(self.out, row, COLUMNS)
                    text = "{file}: {tests} tests, {failed} failed, {skipped} skipped {failures}"
                    print(text.format(**row), flush=True)

    def missing(self) -> list[Path]:
        """Files without a row."""
        done = set(results.load(self.out, COLUMNS)["run"]) if self.out.exists() else set()
        return [path for path in self.paths if self._id(path) not in done]

    def failed(self) -> int:
        """Tests that failed, in the rows that count."""
        if not self.out.exists():
            return 0
        table = results.load(self.out, COLUMNS)
        return int(table[table["run"].isin(map(self._id, self.paths))]["failed"].sum())

    def _id(self, path: Path) -> str:
        made_of = hashlib.sha256(results.environment()["zoology_teach"].encode())
        made_of.update(results.device_name(self.device).encode() + path.read_bytes())
        for beside in sorted((ROOT / "tests" / "kernels").glob("*.py")):
            made_of.update(beside.read_bytes())
        return made_of.hexdigest()[:12]

    def _row(self, path: Path, end: float) -> dict | None:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        if self.device == "cuda":
            environment.pop("TRITON_INTERPRET", None)
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.xml"
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
            command += [f"--junitxml={report}", str(path)]
            given = {"cwd": ROOT, "env": environment, "capture_output": True, "text": True}
            try:
                done = subprocess.run(command, timeout=max(0.0, end - time.time()), **given)
            except subprocess.TimeoutExpired:
                return None
            found = counts(report, done.stdout + done.stderr)
        return {"run": self._id(path), "file": path.relative_to(ROOT).as_posix(), **found}


def counts(report: Path, output: str) -> dict:
    """What a report of pytest says; without one the process died, with these last words."""
    if not report.exists():
        said = [output[-400:]]
        found = {"tests": 0, "failed": 1, "skipped": 0, "seconds": ""}
    else:
        (suite,) = ElementTree.parse(report).getroot()
        bad = [(case, why) for case in suite for why in case if why.tag in ("failure", "error")]
        said = [f"{case.get('name')}: {(why.get('message') or '')[:200]}" for case, why in bad]
        found = {name: int(suite.get(name, 0)) for name in ("tests", "skipped")}
        found |= {"failed": len(bad), "seconds": float(suite.get("time", 0))}
    return found | {"failures": " | ".join(" ".join(one.split()) for one in said)}
