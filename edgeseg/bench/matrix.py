"""A matrix of benchmark runs from a TOML file: each in a process of its own, resumable, one record a run."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeseg.bench.benchmark import RATE
from edgeseg.bench.record import BenchRecord
from edgeseg.bench.scenario import SCENARIOS
from edgeseg.errors import EdgeSegError, FormatError
from edgeseg.files import toml_from_file
from edgeseg.measure.slug import device_slug
from edgeseg.video.child import PARENT

HINT = "see benchmarks/matrix.toml for an example"
AXES = {"model": "models", "size": "sizes", "engine": "engines", "precision": "precisions", "device": "devices",
        "scenario": "scenarios"}  # fmt: skip
DEFAULTS: Mapping[str, list[str]] = {"devices": ["auto"], "scenarios": ["single-stream"]}
OPTIONS = {"n": int, "warm_up": int, "threads": int, "data": str, "images": str, "frame_size": str, "file": bool,
           "rate": float, "streams": int}  # fmt: skip
OF_CAMERAS = ("rate", "streams")
ERROR_LINES = 3


@dataclass(frozen=True)
class MatrixCase:
    """One run of a matrix. options: further options of `edgeseg bench`, by name."""

    model: str
    size: str
    engine: str
    precision: str
    device: str
    scenario: str
    options: Mapping[str, Any] = field(hash=False)

    @property
    def name(self) -> str:
        """The name of its record, without an ending."""
        parts = [Path(self.model).stem, self.size, self.engine, self.precision, self.scenario]
        if self.device != "auto":
            parts.insert(3, self.device)
        return "-".join(re.sub(r"[^\w.-]+", "_", part) for part in parts)

    def command(self, record: Path) -> list[str]:
        """The command that measures it; `rate` and `streams` only for a scenario of cameras."""
        words = ["bench", self.model, "--size", self.size, "--engine", self.engine, "--precision", self.precision]
        words += ["--device", self.device, "--scenario", self.scenario]
        for name, value in self.options.items():
            if name in OF_CAMERAS and self.scenario not in RATE:
                continue
            flag = f"--{name.replace('_', '-')}" if len(name) > 1 else f"-{name}"
            words += [flag] if value is True else [] if value is False else [flag, str(value)]
        return [sys.executable, "-m", "edgeseg", *words, "--output", str(record)]

    def is_measured_by(self, record: BenchRecord) -> bool:
        """Whether a record is of this case and settled."""
        model, conditions = record.model, record.conditions
        actual = (f"{model.width}x{model.height}", model.engine, model.precision, conditions.scenario)
        return record.status == "settled" and actual == (self.size, self.engine, self.precision, self.scenario)


@dataclass(frozen=True)
class MatrixOutcome:
    """A case with its record, or the reason why there is none. seconds: 0 for a record that was there."""

    case: MatrixCase
    path: Path
    record: BenchRecord | None
    error: str
    seconds: float


@dataclass(frozen=True)
class Matrix:
    """The cases of a matrix. differences: also draw where INT8 and float label most differently."""

    cases: Sequence[MatrixCase]
    differences: bool = False


def matrix_from_file(path: str | Path) -> Matrix:
    """The matrix of a file, its cases in their order. FormatError, with the key, for a file that is not valid.

    `data` and `images` may name variables of the environment, as in "camvid:${EDGESEG_DATA}/CamVid"; where one is not
    set, the option is left out.
    """
    whole = toml_from_file(path, HINT)
    table, excluded = whole.get("matrix"), whole.get("except", [])
    if not isinstance(table, dict):
        raise _invalid(path, "it has no table [matrix]")
    unknown = sorted(set(table) - {*AXES.values(), *OPTIONS, "differences"}) + sorted(set(whole) - {"matrix", "except"})
    if unknown:
        raise _invalid(path, f"unknown key {unknown[0]}")
    axes: dict[str, Any] = {axis: table.get(key, DEFAULTS.get(key)) for axis, key in AXES.items()}
    for axis, values in axes.items():
        if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
            raise _invalid(path, f"{AXES[axis]} is not a list of texts")
    if wrong := [name for name in axes["scenario"] if name not in SCENARIOS]:
        raise _invalid(path, f"scenario {wrong[0]} is none of {', '.join(SCENARIOS)}")
    options = {name: _option(path, name, table[name]) for name in OPTIONS if name in table}
    options_of_file = {name: value for name, value in options.items() if value is not None}
    rules = [_rule(path, each) for each in (excluded if isinstance(excluded, list) else [excluded])]
    cases = [
        MatrixCase(**dict(zip(axes, values)), options=options_of_file) for values in itertools.product(*axes.values())
    ]
    differences = table.get("differences", False)
    if not isinstance(differences, bool):
        raise _invalid(path, "differences is neither true nor false")
    return Matrix([case for case in cases if not any(_matches(case, rule) for rule in rules)], differences)


def _option(path: str | Path, name: str, value: Any) -> Any:
    kind = OPTIONS[name]
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _invalid(path, f"{name} is not of the type {kind.__name__}")
    if not isinstance(value, str):
        return value
    text = os.path.expandvars(value)
    return None if "$" in text else text


def _rule(path: str | Path, rule: Any) -> Mapping[str, str]:
    names = {*AXES, "why"}
    if not isinstance(rule, dict) or not set(rule) <= names or set(rule) <= {"why"}:
        raise _invalid(path, f"[[except]] takes {', '.join(sorted(names))}")
    return {axis: value for axis, value in rule.items() if axis != "why"}


def _matches(case: MatrixCase, rule: Mapping[str, str]) -> bool:
    return all(getattr(case, axis) == value for axis, value in rule.items())


def _invalid(path: str | Path, reason: str) -> FormatError:
    return FormatError(f"{path}: {reason}", hint=HINT, code="ES-FORMAT-MATRIX")


def run_command(command: list[str], environment: Mapping[str, str] | None = None) -> tuple[int, str]:
    """The exit code of a command of edgeseg, and what it printed on stderr. It ends with this process, even if killed.

    environment: variables to add.
    """
    ended = subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
        env={**os.environ, PARENT: str(os.getpid()), **(environment or {})},
    )  # fmt: skip
    return ended.returncode, ended.stderr


def run_matrix(
    cases: Sequence[MatrixCase],
    folder: Path,
    *,
    again: bool = False,
    on_begin: Callable[[int, MatrixCase, float | None], None] = lambda number, case, seconds_left: None,
    run: Callable[[list[str]], tuple[int, str]] = run_command,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[MatrixOutcome]:
    """Measure the cases, one after another; the records are written to FOLDER/<device>/bench/<name>.json.

    A settled record that is there is kept, unless `again`: so a matrix that was killed goes on. on_begin: gets the
    number of the case, from 0, and the seconds that are left if those before it are typical. run: runs a command and
    returns its exit code and what it printed on stderr.
    """
    out = folder / device_slug() / "bench"
    spent: list[float] = []
    missing = [case for case in cases if again or _settled_record(case, out) is None]
    for number, case in enumerate(cases):
        path = out / f"{case.name}.json"
        settled = None if again else _settled_record(case, out)
        if settled is not None:
            yield MatrixOutcome(case, path, settled, "", 0.0)
            continue
        left = len(missing) - len(spent)
        on_begin(number, case, left * sum(spent) / len(spent) if spent else None)
        began = clock()
        code, said = run(case.command(path))
        spent.append(clock() - began)
        error = "" if code == 0 else " / ".join(said.strip().splitlines()[-ERROR_LINES:]) or f"exit code {code}"
        yield MatrixOutcome(case, path, BenchRecord.read(path) if code == 0 else None, error, spent[-1])


def _settled_record(case: MatrixCase, folder: Path) -> BenchRecord | None:
    try:
        record = BenchRecord.read(folder / f"{case.name}.json")
    except EdgeSegError:
        return None
    return record if case.is_measured_by(record) else None
