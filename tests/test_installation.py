"""Which build of PyTorch is here and what it costs, and the cell that Colab gets."""

from importlib import metadata
from types import SimpleNamespace

import pytest
import torch

from zoology_teach import colab, doctor, installation


def installed(monkeypatch, sizes: dict[str, list[int]], cuda: str | None, has_gpu=False):
    """As if these distributions were here, with files of these sizes."""
    found = [SimpleNamespace(metadata={"Name": name}) for name in sizes]
    files = {name: [SimpleNamespace(size=n) for n in parts] for name, parts in sizes.items()}
    monkeypatch.setattr(metadata, "distributions", lambda: found)
    monkeypatch.setattr(metadata, "files", files.get)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)


GPU_BUILD = {"torch": [10**9, 5 * 10**8], "nvidia-cublas": [6 * 10**8], "cuda-bindings": [10**7]}


def test_the_cpu_build_is_named_with_its_size(monkeypatch):
    installed(monkeypatch, {"torch": [6 * 10**8, 10**8], "einops": [10**9]}, cuda=None)
    assert installation.torch_build() == "CPU build, 700 MB"


def test_the_gpu_build_counts_its_libraries_and_names_the_other(monkeypatch):
    installed(monkeypatch, GPU_BUILD, cuda="13.0")
    assert installation.torch_build() == (
        "GPU build (CUDA 13.0), 2,110 MB with its libraries; the CPU build would do: TORCH=cpu"
    )
    installed(monkeypatch, GPU_BUILD, cuda="13.0", has_gpu=True)
    assert installation.torch_build() == "GPU build (CUDA 13.0), 2,110 MB with its libraries"


def test_the_doctor_shows_it_beside_the_version():
    found = doctor.examine("torch", doctor.SECTIONS[doctor.LIBRARY]["torch"])
    version = metadata.version("torch").split("+")[0]
    assert found.detail.startswith(version)  # and where it is not the pinned one, which that is
    assert found.detail.endswith(f", {installation.torch_build()}")


def test_sizes_are_those_of_the_files():
    on_disk = sum(f.locate().stat().st_size for f in metadata.files("einops") if f.size)
    assert installation.megabytes("einops") == round(on_disk / 1e6)
    assert 100 < installation.megabytes("torch") < 10_000


def test_colabs_cell_clones_installs_beside_its_torch_and_moves_into_the_book():
    cell = colab.first_cell("https://host.example/owner/name")
    lines = [line.strip() for line in cell.splitlines()]
    steps = [line for line in lines if line[:1] in ("!", "%")]
    assert steps == [
        "!git clone --quiet --depth 1 https://host.example/owner/name zoology_book",
        "!pip install --quiet --constraint colabs_torch.txt ./zoology_book",
        "%cd -q zoology_book/book",
    ]
    assert 'print("torch==" + version("torch"), file=file)' in lines
    assert "constraints.txt" not in cell, "the book's own pins would replace Colab's PyTorch"


@pytest.mark.parametrize("address", ["", "host/name", "https://a b", "https://a;rm", "https://$x"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ValueError, match=r"repository = .*: must be an address"):
        colab.first_cell(address)
