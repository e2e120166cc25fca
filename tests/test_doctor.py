"""`zoology-teach doctor`: every condition becomes a line, never a traceback."""

import subprocess
import sys
from collections import namedtuple
from importlib import metadata

import pytest
from typer.testing import CliRunner

from zoology_teach import doctor, files, installation
from zoology_teach.cli import app


def explode(*args, **kwargs):
    raise RuntimeError("two\nlines")


def only(monkeypatch, **probes):
    """Let the doctor examine `probes` only, as what the book needs."""
    monkeypatch.setattr(doctor, "SECTIONS", {doctor.READING: probes})


def outside_a_clone(monkeypatch):
    """As where the library was installed from a wheel."""
    for module in (doctor, files, installation):
        monkeypatch.setattr(module, "checkout", lambda: None)


@pytest.mark.kernel
def test_a_sound_machine_can_read_the_book():
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0, result.output
    for title, probes in doctor.SECTIONS.items():
        assert title in result.output
        for name in probes:
            assert f" {name} " in result.output
    assert "The book can be read here." in result.output


@pytest.mark.kernel
@pytest.mark.skipif(sys.platform != "linux", reason="triton is published for Linux only")
def test_triton_is_proven_by_running_a_kernel():
    found = doctor.examine("triton", doctor.triton)
    assert found.status == doctor.package("triton").status  # a warning where it is not the pinned
    assert "a kernel runs interpreted" in found.detail or "a kernel runs compiled" in found.detail


def test_a_missing_package_gives_a_remedy(monkeypatch, capsys):
    only(monkeypatch, no_such_package=doctor.package)
    assert doctor.main() == 1
    printed = capsys.readouterr().out
    assert "missing  no_such_package" in printed
    assert "-> cd " in printed and '-c constraints.txt -e ".[test]"' in printed
    assert "Traceback" not in printed


def test_a_package_that_breaks_while_it_is_imported_gives_a_remedy(monkeypatch):
    monkeypatch.setattr(doctor, "import_module", explode)
    found = doctor.examine("torch", doctor.package)
    assert (found.status, found.detail) == ("missing", "RuntimeError: two lines")
    assert "pip install --force-reinstall --no-deps torch==2." in found.remedy


def test_a_broken_probe_that_reading_does_not_need_is_no_obstacle(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "SECTIONS", {"Other": {"disk": explode}})
    assert doctor.main() == 0
    assert "missing  disk" in capsys.readouterr().out


def test_another_version_than_the_pinned_one_is_a_warning(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "pins", lambda: {"einops": "0.0.1"})
    only(monkeypatch, einops=doctor.package)
    assert doctor.main() == 0
    printed = capsys.readouterr().out
    assert "warning  einops" in printed and "made with 0.0.1" in printed
    assert "pip install" in printed


def test_a_build_tag_is_not_another_version(monkeypatch):
    monkeypatch.setattr(doctor.metadata, "version", lambda name: "0.8.2+cpu")
    monkeypatch.setattr(doctor, "pins", lambda: {"einops": "0.8.2"})
    assert doctor.package("einops").status == "ok"


def test_a_pin_is_found_by_the_name_that_pip_compares():
    assert doctor.pins().keys() >= {"jinja2", "pyyaml", "jupyter-client"}


def test_outside_a_clone_nothing_is_pinned_and_pip_installs_the_one_that_is_missing(
    monkeypatch, capsys
):
    outside_a_clone(monkeypatch)
    assert doctor.pins() == {}
    only(monkeypatch, jupytext=doctor.package, kernel=explode)
    monkeypatch.setattr(doctor.metadata, "version", absent)
    assert doctor.main() == 0, "the library works without what the book needs"
    printed = capsys.readouterr().out
    assert "missing  jupytext       not installed" in printed
    assert "-m pip install 'jupytext>=" in printed
    assert "-m pip install 'zoology-teach[lab]'" in printed, "a kernel is no package"
    assert "The library works here. To read the book: make lab, in a clone" in printed


def absent(name):
    raise metadata.PackageNotFoundError(name)


def test_outside_a_clone_a_library_that_is_missing_is_an_obstacle(monkeypatch, capsys):
    outside_a_clone(monkeypatch)
    monkeypatch.setattr(doctor.metadata, "version", absent)
    monkeypatch.setattr(doctor, "SECTIONS", {doctor.LIBRARY: {"einops": doctor.package}})
    assert doctor.main() == 1
    assert "The library does not work here yet: see ->" in capsys.readouterr().out


def test_the_book_is_that_of_the_clone_or_of_the_current_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert files.book() == files.checkout() / "book"
    outside_a_clone(monkeypatch)
    with pytest.raises(ValueError, match=r": there is no book here; run it in a clone of the rep"):
        files.book()
    (tmp_path / "book").mkdir()
    assert files.book() == tmp_path / "book"


def test_an_old_python_is_missing(monkeypatch):
    monkeypatch.setattr(doctor.sys, "version_info", (3, 10, 0))
    assert doctor.python("Python").status == "missing"


def test_a_kernel_of_another_python_is_a_warning(monkeypatch):
    from jupyter_client import kernelspec

    spec = kernelspec.KernelSpec(argv=["/elsewhere/bin/python", "-m", "ipykernel_launcher"])
    monkeypatch.setattr(kernelspec.KernelSpecManager, "get_kernel_spec", lambda *_: spec)
    found = doctor.kernel("kernel")
    assert found.status == "warning" and "ipykernel install --sys-prefix" in found.remedy


def test_a_full_disk_is_a_warning(monkeypatch):
    full = namedtuple("usage", "free")(free=2e8)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: full)
    assert doctor.disk("disk").status == "warning"


def test_more_threads_than_cores_is_a_warning(monkeypatch):
    import torch

    monkeypatch.setattr(torch, "get_num_threads", lambda: 10_000)
    found = doctor.cpu("CPU")
    assert found.status == "warning" and "OMP_NUM_THREADS" in found.remedy


def test_triton_elsewhere_than_on_linux(monkeypatch):
    monkeypatch.setattr(doctor.platform, "system", lambda: "Darwin")
    found = doctor.triton("triton")
    assert found.status == "missing" and "nothing to do" in found.remedy


@pytest.mark.skipif(sys.platform != "linux", reason="triton is published for Linux only")
def test_triton_that_runs_no_kernel_is_a_warning(monkeypatch):
    monkeypatch.setattr(doctor, "failure_of", lambda *_: "no kernel today")
    found = doctor.triton("triton")
    assert found.status == "warning" and "no kernel today" in found.detail


@pytest.mark.parametrize("probe", [doctor.browser, doctor.sandbox])
def test_a_program_that_is_not_there(monkeypatch, probe):
    monkeypatch.setattr(doctor.shutil, "which", lambda program: None)
    found = probe("program")
    assert found.status == "missing" and "apt-get install" in found.remedy


def test_a_sandbox_that_does_not_start_is_a_warning(monkeypatch, tmp_path):
    bwrap = tmp_path / "bwrap"
    bwrap.write_text(
        "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n"
    )
    bwrap.chmod(0o755)
    monkeypatch.setattr(doctor.shutil, "which", lambda program: str(bwrap))
    found = doctor.sandbox("sandbox")
    assert found.status == "warning" and "No permissions" in found.detail
    bwrap.write_text("#!/bin/sh\nexit 0\n")
    assert doctor.sandbox("sandbox").status == "ok"


def test_failure_of_says_why_in_one_line(monkeypatch):
    assert doctor.failure_of([sys.executable, "-c", ""]) == ""
    assert doctor.failure_of([sys.executable, "-c", "1/0"]).startswith("ZeroDivisionError")
    assert "exited with 3" in doctor.failure_of([sys.executable, "-c", "exit(3)"])
    assert "no-such-program" in doctor.failure_of(["no-such-program"])

    def too_slow(*args, **kwargs):
        raise subprocess.TimeoutExpired("slow", 120)

    monkeypatch.setattr(doctor.subprocess, "run", too_slow)
    assert "timed out" in doctor.failure_of(["slow"])
