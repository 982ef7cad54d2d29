"""What the tests share: real data where it is named, and skips that can be turned into failures.

EDGESEG_DATA names a folder with real data. EDGESEG_REQUIRE lists what a skip for is a failure: "chromium,cc".
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

DATA = "EDGESEG_DATA"
REQUIRE = "EDGESEG_REQUIRE"


def skip_without(what: str, reason: str) -> None:
    """Skip the running test because `what` is not here, or fail it where it is required."""
    if what in os.environ.get(REQUIRE, "").split(","):
        pytest.fail(f"{reason} ({REQUIRE} names {what})")
    pytest.skip(reason)


@pytest.fixture
def edgeseg_data() -> Path:
    """The folder of real data."""
    folder = os.environ.get(DATA)
    if not folder:
        pytest.skip(f"{DATA} is not set: it names a folder with real data")
    path = Path(folder)
    assert path.is_dir(), f"{DATA} names no folder: {folder}"
    return path


@pytest.fixture
def without() -> Callable[[str, str], None]:
    """`skip_without`."""
    return skip_without
