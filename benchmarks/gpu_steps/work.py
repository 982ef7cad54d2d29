"""The folder of a run: the results of each job, the ONNX files and the plans."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.errors import EdgeSegError
from edgeseg.files import whole_file, writable_folder

Results = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """Where a run keeps its files. samples, warm_up: timed calls and calls before those."""

    folder: Path
    samples: int = 200
    warm_up: int = 50

    def part(self, name: str) -> Path:
        """A subfolder, which is made if it does not exist."""
        return writable_folder(self.folder / name)

    def outcome(self, job: str) -> Results | None:
        """The outcome of `job`: {"found": ...} or {"error": one line}, and "seconds"; None before it has run."""
        path = self._path(job)
        results: Results | None = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        return results

    def results(self, job: str) -> Results:
        """The results of `job`; {} if it failed or has not run."""
        return dict((self.outcome(job) or {}).get("found", {}))

    def save(self, job: str, outcome: Results) -> None:
        """Write a job's outcome, whole or not at all."""
        with whole_file(self._path(job)) as partial:
            partial.write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")

    def remove(self, step: str) -> None:
        """Drop the outcomes of all jobs of a step."""
        self._path(step).unlink(missing_ok=True)
        shutil.rmtree(self._path(step).with_suffix(""), ignore_errors=True)

    def _path(self, job: str) -> Path:
        return self.folder / "jobs" / f"{job}.json"


def one_line(problem: BaseException) -> str:
    """An error as one line, with its hint if it has one."""
    if isinstance(problem, EdgeSegError):
        return f"{problem.message} ({problem.hint})"
    lines = str(problem).strip().splitlines()
    return f"{type(problem).__name__}: {lines[0]}" if lines else type(problem).__name__
