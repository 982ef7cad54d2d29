"""The folder of a run: what each job found, the ONNX files and the plans."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.errors import EdgeSegError
from edgeseg.files import whole_file, writable_folder

Found = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """Where a run keeps its files. samples, warm_up: timed calls and calls before those."""

    folder: Path
    samples: int = 200
    warm_up: int = 50

    def part(self, name: str) -> Path:
        """A folder in it, made if need be."""
        return writable_folder(self.folder / name)

    def outcome(self, job: str) -> Found | None:
        """What `keep` was given of `job`: {"found": ...} or {"error": one line}, and "seconds"; None before it ran."""
        path = self._path(job)
        found: Found | None = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        return found

    def found(self, job: str) -> Found:
        """What `job` found; {} where it failed or did not run."""
        return dict((self.outcome(job) or {}).get("found", {}))

    def keep(self, job: str, outcome: Found) -> None:
        """Write a job's outcome, whole or not at all."""
        with whole_file(self._path(job)) as partial:
            partial.write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")

    def forget(self, step: str) -> None:
        """Drop the outcomes of all jobs of a step."""
        self._path(step).unlink(missing_ok=True)
        shutil.rmtree(self._path(step).with_suffix(""), ignore_errors=True)

    def _path(self, job: str) -> Path:
        return self.folder / "jobs" / f"{job}.json"


def one_line(problem: BaseException) -> str:
    """An error as one line, with its hint where it has one."""
    if isinstance(problem, EdgeSegError):
        return f"{problem.message} ({problem.hint})"
    lines = str(problem).strip().splitlines()
    return f"{type(problem).__name__}: {lines[0]}" if lines else type(problem).__name__
