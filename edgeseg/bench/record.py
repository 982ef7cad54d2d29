"""The record of one benchmark run: what was measured, of what, on what, and what makes it doubtful.

It is the one file between the measurement and everything that reads figures: tables, `compare`, `report`, exports.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from edgeseg.errors import FormatError
from edgeseg.files import bytes_from_file, write_text
from edgeseg.measure.diagnostic import Diagnostic
from edgeseg.measure.load import Load
from edgeseg.measure.recorder import Summary
from edgeseg.measure.resources import Resources
from edgeseg.uri import without_login

SCHEMA, VERSION = "edgeseg-bench", 1
HINT = "write it with edgeseg bench -o FILE"
Status = Literal["settled", "inconclusive", "invalid"]
Scope = Literal["engine", "frame", "file"]
JSON_TYPES = {"float": (float, int), "int": (int,), "str": (str,), "bool": (bool,)}
T = TypeVar("T")


@dataclass(frozen=True)
class ModelFacts:
    """The artefact that was measured. precision: what it obtained. sha256: of the file. weights: their digest, which
    is the same in every precision and on every engine, so that rows of one net can be found.
    """

    name: str
    width: int
    height: int
    engine: str
    precision: str
    output: str = "logits"
    file: str = ""
    sha256: str = ""
    weights: str = ""


@dataclass(frozen=True)
class Conditions:
    """How it was run. scenario: a key of SCENARIOS. device: as of --device, resolved. images: where frames came from.

    frame_width, frame_height: of the frames before they are resized, 0 where they differ. streams: of multi-stream.
    rate: arrivals a second of the camera scenario, 0 elsewhere.
    """

    scenario: str
    device: str = "cpu"
    threads: int = 0
    images: str = ""
    frame_width: int = 0
    frame_height: int = 0
    streams: int = 1
    rate: float = 0.0


@dataclass(frozen=True)
class Row:
    """The figures of one scope: "engine" alone, "frame" in memory to prediction in memory, or "file" to file.

    samples: latencies in ms, in their order. cpu_blocks: mean own CPU ms of an image in each of ten equal parts of
    the run. fps: images a second over the whole run. extra: of the scenario, such as "dropped" or "jitter_ms".
    """

    scope: Scope
    latency: Summary
    fps: float
    cpu_ms: float
    settled: bool
    samples: tuple[float, ...] = ()
    cpu_blocks: tuple[float, ...] = ()
    extra: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Stages:
    """Where the time of a frame goes. latency: by stage, in their order (decode, resize, upload, engine, download,
    upsample, render, encode; those that exist). overlapped: stages run at the same time, so that the slowest of them
    sets the pace. sum_ms: of the means. period_ms: from one finished frame to the next.
    """

    latency: Mapping[str, Summary]
    overlapped: bool
    sum_ms: float
    period_ms: float


@dataclass(frozen=True)
class Accuracy:
    """mIoU and others of the artefact that was timed: fractions. by_class: IoU; None where it is not known."""

    data: str
    images: int
    miou: float
    by_class: Mapping[str, float | None] = field(default_factory=dict)
    overall: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class BenchRecord:
    """One run. status: "settled"; "inconclusive", which stays out of tables; "invalid" where a diagnostic says so.

    stages: one after another, of the widest scope that was measured. overlapped: as `stream` runs them, file to file.
    device: `describe_device()`, and what was read of clocks, power and temperature. when: ISO 8601, UTC.
    """

    model: ModelFacts
    conditions: Conditions
    status: Status
    rows: tuple[Row, ...]
    load: Load
    resources: Resources
    device: Mapping[str, Any]
    versions: Mapping[str, str]
    stages: Stages | None = None
    overlapped: Stages | None = None
    accuracy: Accuracy | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    attempts: int = 1
    warm_up: int = 0
    command: str = ""
    when: str = ""

    @property
    def key(self) -> str:
        """12 hex digits of what was measured and how: equal for repetitions, whatever the figures."""
        model = {name: value for name, value in asdict(self.model).items() if name not in ("file", "sha256")}
        text = json.dumps([model, asdict(self.conditions)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def row(self, scope: Scope) -> Row | None:
        """The row of a scope, if it was measured."""
        return next((row for row in self.rows if row.scope == scope), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"schema": SCHEMA, "version": VERSION, "key": self.key, **asdict(self)}

    def write(self, path: Path) -> Path:
        """Write it as JSON, atomically."""
        write_text(path, json.dumps(self.to_dict(), indent=1) + "\n")
        return path

    @classmethod
    def read(cls, path: str | Path) -> BenchRecord:
        """The record at `path`. FormatError where it is none, or of a later version."""
        try:
            data = json.loads(bytes_from_file(path))
        except (ValueError, RecursionError) as problem:
            raise FormatError(f"{path} is not JSON: {problem}", hint=HINT, code="ES-FORMAT-RECORD") from problem
        return cls.from_dict(data, str(path))

    @classmethod
    def from_dict(cls, data: Any, name: str = "the record") -> BenchRecord:
        """The record of `to_dict`. name: of the file, for errors."""
        if not isinstance(data, Mapping) or data.get("schema") != SCHEMA:
            raise FormatError(f"{name} is no record of edgeseg bench", hint=HINT, code="ES-FORMAT-RECORD")
        if data.get("version") != VERSION:
            message = f"{name} has version {data.get('version')} of the record, not {VERSION}"
            raise FormatError(message, hint="measure again, or update edgeseg", code="ES-FORMAT-RECORD")
        try:
            status = data["status"]
            if status not in get_args(Status):
                raise ValueError(f"status {status!r}")
            return cls(
                model=_made(ModelFacts, data["model"]),
                conditions=_made(Conditions, data["conditions"]),
                status=status,
                rows=tuple(_row(row) for row in data["rows"]),
                load=_made(Load, data["load"]),
                resources=_made(Resources, data["resources"]),
                device=dict(data["device"]),
                versions=dict(data["versions"]),
                stages=_stages(data["stages"]) if data.get("stages") else None,
                overlapped=_stages(data["overlapped"]) if data.get("overlapped") else None,
                accuracy=_accuracy(data["accuracy"]) if data.get("accuracy") else None,
                diagnostics=tuple(_made(Diagnostic, each) for each in data.get("diagnostics", ())),
                attempts=int(data.get("attempts", 1)),
                warm_up=int(data.get("warm_up", 0)),
                command=str(data.get("command", "")),
                when=str(data.get("when", "")),
            )
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as problem:
            message = f"{name} is damaged: {type(problem).__name__} {problem}"
            raise FormatError(message, hint=HINT, code="ES-FORMAT-RECORD") from problem


def without_folders(text: str) -> str:
    """`text` with each absolute path cut to its last part: a record says nothing about whose machine it was."""
    return re.sub(r"(^|[:=])/(?!/[^/])(?:[^/]*/)*", r"\1", text)


def command_from_words(words: Sequence[str]) -> str:
    """The command of edgeseg with these words, without folders and passwords."""
    return shlex.join(["edgeseg", *(without_folders(without_login(word)) for word in words)])


def _made(kind: type[T], data: Mapping[str, Any]) -> T:
    """A dataclass of the keys that it knows: a later edgeseg may add some. ValueError for a value of another type."""
    types = {each.name: str(each.type) for each in fields(kind)}  # type: ignore[arg-type]
    values = {key: value for key, value in data.items() if key in types}
    for key, value in values.items():
        wanted, _, optional = types[key].partition(" | ")
        right = optional == "None" if value is None else type(value) in JSON_TYPES.get(wanted, (type(value),))
        if not right:
            raise ValueError(f"{key} {value!r}")
    return kind(**values)


def _numbers(data: Mapping[str, Any]) -> dict[str, float]:
    return {str(key): float(value) for key, value in data.items()}


def _row(data: Mapping[str, Any]) -> Row:
    if data["scope"] not in get_args(Scope):
        raise ValueError(f"scope {data['scope']!r}")
    figures = {name: tuple(map(float, data[name])) for name in ("samples", "cpu_blocks")}
    extra = _numbers(data.get("extra", {}))
    return _made(Row, {**data, **figures, "extra": extra, "latency": _made(Summary, data["latency"])})


def _accuracy(data: Mapping[str, Any]) -> Accuracy:
    tables = {
        name: {str(key): None if value is None else float(value) for key, value in data.get(name, {}).items()}
        for name in ("by_class", "overall")
    }
    return _made(Accuracy, {**data, **tables})


def _stages(data: Mapping[str, Any]) -> Stages:
    latency = {name: _made(Summary, each) for name, each in data["latency"].items()}
    return _made(Stages, {**data, "latency": latency})
