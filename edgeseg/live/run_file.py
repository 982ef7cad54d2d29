"""A run file: the streams of one machine, their model, outputs and observers, as TOML.

model = "bisenetv2-camvid"
page = "http://127.0.0.1:8080"
events = ["events.jsonl", "mqtt://broker/edgeseg"]

[streams.front]
source = "rtsp://user:${CAMERA_PASSWORD}@10.0.0.8/stream"
output = ["front.mp4", "front.jsonl"]
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from edgeseg.capture.source import MAX_AGE_SECONDS
from edgeseg.errors import EdgeSegError, FormatError, UnknownNameError
from edgeseg.files import toml_from_file
from edgeseg.spec import Precision, size_from_text

NUMBER = (int, float)
TEXTS = "a text or a list of texts"
VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class StreamEntry:
    """One stream. output: URIs of sinks. weight: its share of the engine, relative to the others."""

    name: str
    source: str
    output: tuple[str, ...] = ()
    weight: float = 1.0


@dataclass(frozen=True)
class RunConfig:
    """All of a run. events: URIs of observers. max_age: seconds after which a live frame is too old."""

    model: str
    streams: tuple[StreamEntry, ...]
    engine: str | None = None
    precision: Precision | None = None
    size: tuple[int, int] | None = None
    device: str = "auto"
    threads: int | None = None
    opacity: float = 0.5
    legend: bool = False
    max_age: float = MAX_AGE_SECONDS
    page: str | None = None
    events: tuple[str, ...] = ()


KINDS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "model": (str, "a text"),
    "engine": (str, "a text"),
    "precision": (str, "a text"),
    "size": (str, 'a text such as "1024x512"'),
    "device": (str, "a text"),
    "threads": (int, "an integer"),
    "opacity": (NUMBER, "a number from 0 to 1"),
    "legend": (bool, "true or false"),
    "max_age": (NUMBER, "a number of seconds"),
    "page": (str, 'a text such as "http://127.0.0.1:8080"'),
    "events": ((str, list), TEXTS),
    "source": (str, "a text"),
    "output": ((str, list), TEXTS),
    "weight": (NUMBER, "a number above 0"),
}


def run_from_file(path: str | Path, environment: Mapping[str, str] = os.environ) -> RunConfig:
    """Read a run file. `${NAME}` in a text is replaced by a variable of the environment, for passwords.

    FormatError or UnknownNameError, with the line of the key, where it is not of that form.
    """
    path = Path(path)
    data = toml_from_file(
        path, hint='write lines such as model = "bisenetv2-camvid" and tables such as [streams.front]'
    )
    return _RunFile(path, path.read_text(encoding="utf-8").splitlines(), environment).config(data)


class _RunFile:
    """The text of a run file, for errors that name a line."""

    def __init__(self, path: Path, lines: Sequence[str], environment: Mapping[str, str]) -> None:
        self._path, self._lines, self._environment = path, lines, environment

    def config(self, data: dict[str, Any]) -> RunConfig:
        """The checked run."""
        tables = data.pop("streams", None)
        known = {field.name for field in fields(RunConfig)} - {"streams"}
        values = self._checked(data, known, "")
        if "model" not in values:
            raise self._error("", "", "has no model", 'add a line such as model = "bisenetv2-camvid"')
        if not isinstance(tables, dict) or not tables:
            raise self._error("", "", "has no streams", "add a table such as [streams.front] with a source")
        streams = tuple(self._stream(name, table) for name, table in tables.items())
        if "precision" in values:
            values["precision"] = self._within("", "precision", lambda: _precision(values["precision"]))
        if "size" in values:
            values["size"] = self._within("", "size", lambda: size_from_text(values["size"]))
        if not 0 <= values.get("opacity", 0.5) <= 1:
            raise self._error("", "opacity", "opacity is not from 0 to 1", "write opacity = 0.5")
        if values.get("max_age", 1) <= 0:
            raise self._error("", "max_age", "max_age is not above 0", "write max_age = 1.0")
        return RunConfig(streams=streams, **values)

    def _stream(self, name: str, table: object) -> StreamEntry:
        where = f"streams.{name}"
        if not isinstance(table, dict):
            raise self._error("", "streams", f"{where} is not a table", f"write [{where}] and a source below it")
        values = self._checked(table, {"source", "output", "weight"}, where)
        if "source" not in values:
            raise self._error(where, "", f"[{where}] has no source", 'add a line such as source = "camera:0"')
        if values.get("weight", 1) <= 0:
            raise self._error(where, "weight", "weight is not above 0", "write weight = 1")
        return StreamEntry(name, **values)

    def _checked(self, table: dict[str, Any], known: set[str], where: str) -> dict[str, Any]:
        """The values of a table, of the right types, lists as tuples, variables replaced."""
        values: dict[str, Any] = {}
        for key, value in table.items():
            name = key.replace("-", "_")
            if name not in known:
                problem = UnknownNameError.among("key", key, sorted(known))
                raise self._error(where, key, problem.message, problem.hint, unknown=True)
            types, expected = KINDS[name]
            if not isinstance(value, types) or (isinstance(value, bool) and types is not bool):
                raise self._error(where, key, f"{key} is not {expected}", f"write {expected}")
            if name in ("output", "events"):
                values[name] = self._texts(where, key, value)
            else:
                values[name] = self._replaced(where, key, value) if isinstance(value, str) else value
        return values

    def _texts(self, where: str, key: str, value: Any) -> tuple[str, ...]:
        texts = value if isinstance(value, list) else [value]
        if not all(isinstance(text, str) for text in texts):
            raise self._error(where, key, f"{key} is not {TEXTS}", f"write {TEXTS}")
        return tuple(self._replaced(where, key, text) for text in texts)

    def _replaced(self, where: str, key: str, text: str) -> str:
        for name in VARIABLE.findall(text):
            if name not in self._environment:
                raise self._error(where, key, f"the variable {name} is not set", f"export {name}=... before you start")
        return VARIABLE.sub(lambda match: self._environment[match[1]], text)

    def _within(self, where: str, key: str, make: Any) -> Any:
        """`make()`, with the line of the key in its errors."""
        try:
            return make()
        except EdgeSegError as problem:
            raise self._error(where, key, problem.message, problem.hint) from None

    def _error(self, where: str, key: str, message: str, hint: str, *, unknown: bool = False) -> EdgeSegError:
        line = self._line(where, key)
        place = f"{self._path}, line {line}" if line else str(self._path)
        text = f"{place}: {message}" if line else f"{place} {message}"
        return UnknownNameError(text, hint=hint) if unknown else FormatError(text, hint=hint, code="ES-FORMAT-RUN")

    def _line(self, where: str, key: str) -> int:
        """The line of a key in the table `where`, or of the table's head; 0 where it is not found."""
        inside, head = not where, 0
        for number, line in enumerate(self._lines, 1):
            text = line.strip()
            if text.startswith("["):
                name = text.strip("[]").replace('"', "").replace(" ", "")
                inside = name == where if where else False
                head = number if inside else head
            elif key and inside and re.match(rf'"?{re.escape(key)}"?\s*=', text):
                return number
        return head


def _precision(text: str) -> Precision:
    try:
        return Precision(text.lower())
    except ValueError:
        raise UnknownNameError.among("precision", text, [str(precision) for precision in Precision]) from None
