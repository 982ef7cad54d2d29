"""The command line as tests run it: in this process, for a fresh one would import everything anew."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgeseg.cli import main


@dataclass(frozen=True)
class Done:
    """What a command left on the terminal."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Stdout, which must be one JSON document."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    def lines(self, kind: str) -> list[str]:
        """The lines of stderr that begin so, without that."""
        return [line.removeprefix(f"{kind}: ") for line in self.err.splitlines() if line.startswith(f"{kind}: ")]


Run = Callable[..., Done]


def runner(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """`run("models", "--json")`; what libraries write past Python is captured as well."""

    monkeypatch.setenv("COLUMNS", "200")  # where tests run beside each other it is that of a terminal

    def run(*words: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["edgeseg", *map(str, words)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return Done(int(ended.value.code or 0), out, err)

    return run
