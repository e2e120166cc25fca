"""Do the versions that pyproject.toml allows work? The quick tests, with others than the pinned.

    python benchmarks/versions.py --resolution lowest --python 3.11
    python benchmarks/versions.py --resolution newest --python 3.13
    python benchmarks/versions.py --resolution colab --python 3.13

"lowest" takes the lowest version of all that pyproject.toml names, "newest" the newest released,
both as uv resolves them, of what is published built for that Python. "colab" takes what Colab has
(colab.txt) and runs two chapters with the cell that is put in front of them there
(colab_chapters.py). Needs uv (pip install uv), a network and 6 GB; --torch-backend cpu saves most
of them where PyTorch's own index can be reached. The environment is made in build/versions/, and a
row goes to versions.csv. Ends with 1 where something failed.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from zoology_teach import files
from zoology_teach.experiments import results
from zoology_teach.version import code

ROOT = Path(__file__).resolve().parents[1]
OUT = Path(__file__).with_suffix(".csv")
SHOWN = "torch triton numpy pandas matplotlib ipywidgets anywidget ipython jupyterlab".split()
COLUMNS = [
    *("resolution", "python", "passed", "failed", "failures", "minutes"),
    *SHOWN,
    *("zoology_teach", "machine", "day"),
]
STRATEGY = {"lowest": "lowest-direct", "newest": "highest", "colab": "highest"}
SOURCES = {"colab": ["benchmarks/colab.txt"]}
KERNELS = ["tests/kernels/test_interpreter.py", "tests/kernels/test_short_conv.py"]
# It says that the pinned versions are installed, which is not the question here.
NOT_ASKED = "tests/test_environment.py::test_installed_version_is_the_pinned_one"


def uv(*arguments: str) -> None:
    """Run uv; end where it fails, for it has said why."""
    program = shutil.which("uv")
    if program is None:
        sys.exit("versions.py needs uv: pip install uv")
    if subprocess.run([program, *arguments], cwd=ROOT).returncode:
        sys.exit(f"uv {' '.join(arguments)} failed")


def environment(resolution: str, python: str, backend: list[str]) -> Path:
    """The Python of an environment that has exactly the versions of a resolution."""
    folder = ROOT / "build" / "versions" / f"{resolution}-{python}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    listed = folder.with_name(f"{folder.name}.txt")
    sources = SOURCES.get(resolution, ["pyproject.toml", "--extra", "test"])
    how = ["--resolution", STRATEGY[resolution], "--only-binary", ":all:", "--quiet", *backend]
    which = ["--python-version", python, "--output-file", str(listed)]
    uv("pip", "compile", *sources, *how, *which)
    uv("venv", "--quiet", "--allow-existing", "--python", python, str(folder))
    inside = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    uv("pip", "sync", "--quiet", "--python", str(inside), *backend, str(listed))
    return inside


def tested(inside: Path) -> tuple[int, int, str]:
    """Passed, failed and which: what `make quick` runs, and what Triton's interpreter must do."""
    uv("pip", "install", "--quiet", "--no-deps", "--python", str(inside), "--editable", ".")
    (slow,) = re.findall(r"^SLOW := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    quick = ["-n", "auto", "-m", f"not ({slow})", "--deselect", NOT_ASKED, "tests"]
    counts = [counted(pytest(inside, arguments)) for arguments in (quick, KERNELS)]
    passed, failed, names = zip(*counts, strict=True)
    return sum(passed), sum(failed), " ".join(names).strip()


def pytest(inside: Path, arguments: list[str]) -> str:
    """What pytest prints."""
    command = [str(inside), "-m", "pytest", "-q", "-rfE", "-p", "no:cacheprovider", *arguments]
    path = os.pathsep.join([str(inside.parent), os.environ["PATH"]])
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PATH": path}
    done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
    print(done.stdout, flush=True)
    return done.stdout


def counted(output: str) -> tuple[int, int, str]:
    """Passed, failed and which, from what pytest printed. Without its last line all has failed."""
    last = output.rstrip().rpartition("\n")[2]
    found = {kind: int(n) for n, kind in re.findall(r"(\d+) (passed|failed|error)", last)}
    if not found:
        return 0, 1, last
    names = re.findall(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
    return found.get("passed", 0), found.get("failed", 0) + found.get("error", 0), " ".join(names)


def installed(inside: Path) -> dict[str, str]:
    """The versions that a row shows, empty where there is none, and Python's own."""
    script = (
        "import json, platform; from importlib import metadata\n"
        "found = {d.metadata['Name'].lower(): d.version for d in metadata.distributions()}\n"
        "print(json.dumps({**found, 'python': platform.python_version()}))"
    )
    done = subprocess.run([str(inside), "-c", script], stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout)
    return {name: found.get(name, "") for name in ("python", *SHOWN)}


def note(row: dict[str, object]) -> None:
    """Append a row to the table."""
    with files.sole_writer(OUT):
        files.mend(OUT)
        results.append(OUT, row, COLUMNS)


def main() -> int:
    """Make the environment, try it, note it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--resolution", choices=list(STRATEGY), required=True)
    parser.add_argument("--python", required=True, help="3.11, 3.13, ... or a path")
    parser.add_argument("--torch-backend", help="uv's: cpu takes PyTorch's CPU build")
    given = parser.parse_args()
    backend = ["--torch-backend", given.torch_backend] if given.torch_backend else []
    inside, started = environment(given.resolution, given.python, backend), time.monotonic()
    if given.resolution == "colab":
        from colab_chapters import tried

        passed, failed, failures = tried(inside)
    else:
        passed, failed, failures = tested(inside)
    found = {"passed": passed, "failed": failed, "failures": failures}
    minutes = round((time.monotonic() - started) / 60, 1)
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    about = {"zoology_teach": code(), "machine": machine, "day": time.strftime("%Y-%m-%d")}
    made_with = {"resolution": given.resolution, **installed(inside)}
    note({**made_with, **found, "minutes": minutes, **about})
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
