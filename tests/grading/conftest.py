"""What the tests of grading share."""

import os

import pytest

from zoology_teach.grading.bubblewrap import SandboxUnavailable
from zoology_teach.grading.sandbox import Sandbox


@pytest.fixture(scope="session")
def sandbox_kind() -> str:
    """ "bwrap" where it works; elsewhere no sandbox, or a failure where one is required."""
    try:
        with Sandbox(kind="bwrap"):
            return "bwrap"
    except SandboxUnavailable as error:
        if os.environ.get("ZOOLOGY_TEACH_REQUIRE_SANDBOX"):
            pytest.fail(f"ZOOLOGY_TEACH_REQUIRE_SANDBOX is set: {error}")
        return "none"
