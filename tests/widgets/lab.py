"""JupyterLab as `make lab` starts it, for tests in a browser."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()


@contextmanager
def jupyter_lab(root: Path, home: Path) -> Iterator[str]:
    """Its address. It serves the folder `root`, and knows what was trusted from `home`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--no-browser", f"--port={port}", "--IdentityProvider.token="]
    options += ["--expose-app-in-browser", f"--ServerApp.root_dir={root}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--allow-root")
    environment = {
        **os.environ,
        "HOME": str(home),
        "JUPYTER_CONFIG_PATH": str(ROOT / "jupyter"),
        "OMP_NUM_THREADS": "1",
    }
    log = (home / "lab.log").open("w")
    command = [sys.executable, "-m", "jupyterlab", *options]
    server = subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while not _answers(f"{address}/api"):
            assert server.poll() is None and time.monotonic() < deadline, log.name
            time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=20)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:
            return "version" in json.load(answer)
    except OSError:
        return False
