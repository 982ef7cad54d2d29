"""The output of the system's tools."""

from __future__ import annotations

import sys

import pytest

from edgeseg.measure import system_tool
from edgeseg.measure.system_tool import output_of

WAITS = "import signal; print('early', flush=True); signal.pause()"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool may take its time on a busy machine."""
    monkeypatch.setattr(system_tool, "SECONDS", 60.0)


def test_a_tool_is_run_without_a_shell_in_plain_english() -> None:
    code = "import os, sys; print(sys.argv[1], os.environ['LC_ALL'])"
    assert output_of(sys.executable, "-c", code, "$HOME; ls").split() == ["$HOME;", "ls", "C"]


def test_a_tool_that_is_missing_fails_or_hangs_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert output_of("edgeseg-no-such-tool") == ""
    assert output_of(sys.executable, "-c", "print('early'); raise SystemExit(3)") == ""
    monkeypatch.setattr(system_tool, "SECONDS", 0.01)
    assert output_of(sys.executable, "-c", WAITS) == ""


def test_bytes_that_are_no_text_are_no_error() -> None:
    assert output_of(sys.executable, "-c", "import sys; sys.stdout.buffer.write(b'a\\xffb')") == "a\ufffdb"
