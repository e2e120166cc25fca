"""Where the book runs: the table of README.md is the one that the doctor reads."""

from pathlib import Path

import pytest

from zoology_teach import doctor, platforms

ROOT = Path(__file__).parents[1]


def test_the_readme_has_the_table():
    assert platforms.markdown() in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    ("system", "machine", "release", "row"),
    [
        ("Linux", "x86_64", "6.1.0-13-amd64", platforms.LINUX),
        ("Linux", "x86_64", "5.15.90.1-microsoft-standard-WSL2", platforms.WSL),
        ("Linux", "aarch64", "6.1.0", platforms.ARM),
        ("Linux", "riscv64", "6.1.0", platforms.OTHER),
        ("Windows", "AMD64", "11", platforms.WINDOWS),
        ("Darwin", "arm64", "23.1.0", platforms.APPLE),
        ("Darwin", "x86_64", "22.6.0", platforms.INTEL_MAC),
        ("FreeBSD", "amd64", "14.0", platforms.OTHER),
    ],
)
def test_a_machine_finds_its_row(monkeypatch, system, machine, release, row):
    found = {"system": system, "machine": machine, "release": release}
    for name, value in found.items():
        monkeypatch.setattr(platforms.platform, name, lambda value=value: value)
    assert platforms.here() is row
    finding = doctor.machine("machine")
    assert finding.detail.startswith(f"{row.name}: {row.runs}")
    assert (finding.status, finding.remedy) == (
        ("ok", "") if row.lacks == "nothing" else ("warning", row.advice)
    )


def test_what_does_not_run_is_told_for_each_kind_without_triton():
    for row in (platforms.WINDOWS, platforms.APPLE):
        assert "chapters 12 and 13 (Triton is published for Linux only)" in row.lacks
        assert "sandbox" in row.lacks
    assert "every chapter" in platforms.INTEL_MAC.lacks
    assert "mps" in platforms.APPLE.advice and "float64" in platforms.APPLE.advice
