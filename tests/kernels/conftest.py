"""What the tests of every kernel share. ``tests/conftest.py`` switches the interpreter on."""

import pytest
import torch


@pytest.fixture(scope="session")
def device() -> str:
    """Where the kernels run: compiled on a GPU, or interpreted."""
    return "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(scope="session")
def dynamo_knows_torch() -> None:
    """At its first use torch.compile notes which functions are torch's own: as they are now."""
    torch.compile(torch.neg, backend="eager")(torch.ones(1))
    torch.compiler.reset()


@pytest.fixture(autouse=True)
def poisoned_memory(dynamo_knows_torch, monkeypatch):
    """Fresh memory holds NaN, so that a number no kernel wrote is seen."""

    def poison(allocate):
        def poisoned(*args, **kwargs):
            out = allocate(*args, **kwargs)
            return out.fill_(float("nan")) if out.is_floating_point() else out

        return poisoned

    for owner, name in [(torch, "empty"), (torch, "empty_like"), (torch.Tensor, "new_empty")]:
        monkeypatch.setattr(owner, name, poison(getattr(owner, name)))
