"""The command line as tests run it: in this process, for a fresh one would import everything anew."""

from __future__ import annotations

import json
import re
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
        """The lines of stderr that begin with "kind: " or "kind [CODE]: ", without that."""
        matches = [re.match(rf"{kind}(?: \[[A-Z0-9-]+\])?: (.*)", line) for line in self.err.splitlines()]
        return [match[1] for match in matches if match]

    @property
    def error_code(self) -> str:
        """The code of the only error line; "" without one."""
        (code,) = re.findall(r"^error \[([A-Z0-9-]+)\]: ", self.err, re.MULTILINE) or [""]
        return code


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
