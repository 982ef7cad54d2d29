"""A matrix of benchmark runs from a TOML file: each in a process of its own, resumable, one record a run."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgeseg.artifact import sidecar_path
from edgeseg.bench.benchmark import RATE, versions_with
from edgeseg.bench.record import BenchRecord, ModelFacts, command_from_words
from edgeseg.bench.same_conditions import differing_fields
from edgeseg.bench.scenario import SCENARIOS
from edgeseg.child import PARENT
from edgeseg.errors import EdgeSegError, FormatError
from edgeseg.files import existing_file, exists, sha256_from_file, toml_from_file
from edgeseg.measure.device import device_facts
from edgeseg.measure.slug import device_slug
from edgeseg.weights import is_model, weights_path

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

    def words(self) -> list[str]:
        """What to measure, in words of the command line; `rate` and `streams` only for a scenario of cameras."""
        words = ["bench", self.model, "--size", self.size, "--engine", self.engine, "--precision", self.precision]
        words += ["--device", self.device, "--scenario", self.scenario]
        for name, value in self.options.items():
            if name in OF_CAMERAS and self.scenario not in RATE:
                continue
            flag = f"--{name.replace('_', '-')}" if len(name) > 1 else f"-{name}"
            words += [flag] if value is True else [] if value is False else [flag, str(value)]
        return words

    def command(self, record: Path) -> list[str]:
        """The command that measures it."""
        return [sys.executable, "-m", "edgeseg", *self.words(), "--output", str(record)]

    def reason_to_repeat(self, record: BenchRecord, device: Mapping[str, Any]) -> str:
        """Why a stored record does not count for this case today; "" where it does. device: `device_facts` of today."""
        if record.status != "settled":
            return f"it is {record.status}"
        if not self._has_command(record.command):
            return f"its command was {record.command or 'another one'}"
        if not self._has_model(record.model):
            return "the model is another one"
        today = replace(record, device=device, versions=versions_with(self.engine))
        changes = [f"{name} was {was!r}" for name, (was, _) in differing_fields(record, today).items()]
        return ", ".join(changes)

    def _has_command(self, command: str) -> bool:
        """Whether a record's command measures the same; a record with mIoU also counts for a case without data."""
        try:
            stored = shlex.split(command.partition(" --output ")[0])
        except ValueError:  # damaged
            return False
        if "data" not in self.options and "--data" in stored:
            begin = stored.index("--data")
            del stored[begin : begin + 2]
        return shlex.join(stored) == command_from_words(self.words())

    def _has_model(self, measured: ModelFacts) -> bool:
        """Whether the model is still the one that was measured; True where only a conversion would tell."""
        try:
            if is_model(self.model) and not exists(sidecar_path(Path(self.model))):
                return sha256_from_file(weights_path(self.model)) == measured.weights
            return sha256_from_file(existing_file(self.model)) == measured.sha256
        except EdgeSegError:  # no such model, or one on a server
            return True


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
    cases = [case for case in cases if not any(_matches(case, rule) for rule in rules)]
    _check_names(path, cases)
    return Matrix(cases, differences)


def _check_names(path: str | Path, cases: Sequence[MatrixCase]) -> None:
    """FormatError where two cases would write one record."""
    models: dict[str, str] = {}
    for case in cases:
        if case.name in models:
            message = f"{path}: {models[case.name]} and {case.model} would write one record, {case.name}.json"
            hint = "rename a file, or give each of them a matrix and a folder (-o) of its own"
            raise FormatError(message, hint=hint, code="ES-FORMAT-MATRIX")
        models[case.name] = case.model


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
    on_begin: Callable[[int, MatrixCase, float | None, str], None] = lambda number, case, seconds_left, reason: None,
    run: Callable[[list[str]], tuple[int, str]] = run_command,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[MatrixOutcome]:
    """Measure the cases, one after another; the records are written to FOLDER/<device>/bench/<name>.json.

    A settled record of the same command, model, device and versions is kept, unless `again`: so a matrix that was
    killed goes on. on_begin: gets the number of the case, from 0, the seconds that are left if those before it are
    typical, and why a record that is there does not count. run: runs a command and returns its exit code and what it
    printed on stderr.
    """
    out = folder / device_slug() / "bench"
    spent: list[float] = []
    device = json.loads(json.dumps(device_facts()))  # as a record has it
    stored = [(None, "") if again else _stored_record(case, out, device) for case in cases]
    missing = sum(record is None for record, _ in stored)
    for number, (case, (settled, reason)) in enumerate(zip(cases, stored)):
        path = out / f"{case.name}.json"
        if settled is not None:
            yield MatrixOutcome(case, path, settled, "", 0.0)
            continue
        left = missing - len(spent)
        on_begin(number, case, left * sum(spent) / len(spent) if spent else None, reason)
        began = clock()
        code, said = run(case.command(path))
        spent.append(clock() - began)
        error = "" if code == 0 else " / ".join(said.strip().splitlines()[-ERROR_LINES:]) or f"exit code {code}"
        yield MatrixOutcome(case, path, BenchRecord.read(path) if code == 0 else None, error, spent[-1])


def _stored_record(case: MatrixCase, folder: Path, device: Mapping[str, Any]) -> tuple[BenchRecord | None, str]:
    """The record of an earlier run, or why it does not count; "" where there is none."""
    path = folder / f"{case.name}.json"
    try:
        record = BenchRecord.read(path)
        reason = case.reason_to_repeat(record, device)
    except EdgeSegError as problem:
        return None, problem.message if path.exists() else ""
    return (None, reason) if reason else (record, "")
