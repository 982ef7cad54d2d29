"""A run file: the streams of one machine, their model, outputs and observers, as TOML.

model = "bisenetv2-camvid"
page = "http://127.0.0.1:8080"
events = ["events.jsonl", "mqtt://broker/edgeseg"]

[streams.front]
source = "rtsp://user:${CAMERA_PASSWORD}@10.0.0.8/stream"
output = ["front.mp4", "front.jsonl"]
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeseg.capture.source import MAX_AGE_SECONDS
from edgeseg.errors import EdgeSegError, FormatError, UnknownNameError
from edgeseg.files import toml_from_file
from edgeseg.live.trigger import WHOLE, TriggerConfig
from edgeseg.predictions.crf import crf_from_text
from edgeseg.spec import Precision, Tiles, precision_from_text, size_from_text, tiles_from_options, tiles_named

VARIABLE = re.compile(r"\$\{(\w+)\}")
NAME = re.compile(r"[\w.-]+")  # of a stream: it is part of file names, MQTT topics and URLs
HEAD = re.compile(r"\[+\s*([^\]]+?)\s*\]+\s*(?:#.*)?")  # of a table


@dataclass(frozen=True)
class StreamEntry:
    """One stream. output: URIs of sinks. weight: its share of the engine, relative to the others."""

    name: str
    source: str
    output: tuple[str, ...] = ()
    weight: float = 1.0
    triggers: tuple[TriggerConfig, ...] = ()

    @property
    def table(self) -> str:
        """Its table in a run file."""
        return f"streams.{self.name}"


def no_place(table: str, key: str) -> str:
    """The place of a value that is in no file."""
    return ""


@dataclass(frozen=True)
class RunConfig:
    """All of a run.

    tiles, crf: as for `edgeseg.open`. events: URIs of observers. max_age: seconds after which a live frame is too old.
    place_of: "FILE, line N: " of a key, for errors.
    """

    model: str
    streams: tuple[StreamEntry, ...]
    engine: str | None = None
    precision: Precision | None = None
    size: tuple[int, int] | None = None
    device: str = "auto"
    threads: int | None = None
    tiles: Tiles | str | None = None
    crf: str | None = None
    opacity: float = 0.5
    legend: bool = False
    max_age: float = MAX_AGE_SECONDS
    page: str | None = None
    events: tuple[str, ...] = ()
    place_of: Callable[[str, str], str] = field(default=no_place, compare=False, repr=False)

    @contextlib.contextmanager
    def at(self, table: str, key: str) -> Iterator[None]:
        """Name the line of a key in the errors that its value causes. table: "streams.NAME", or "" for the top."""
        try:
            yield
        except EdgeSegError as problem:
            problem.message = self.place_of(table, key) + problem.message
            raise


def _is_positive(value: float) -> bool:
    return 0 < value < math.inf


@dataclass(frozen=True)
class Key:
    """A key of a run file. example: as TOML. is_valid: asked about values of the right types."""

    types: type | tuple[type, ...]
    expected: str
    example: str
    is_valid: Callable[[Any], bool] = lambda value: True

    def takes(self, value: object) -> bool:
        """Whether the key may have this value; true is no number."""
        is_typed = isinstance(value, self.types) and (self.types is bool or not isinstance(value, bool))
        return is_typed and self.is_valid(value)


def _texts_key(example: str) -> Key:
    return Key((str, list), "a text or a list of texts", example, lambda value: all(isinstance(v, str) for v in value))


KEYS = {
    "model": Key(str, "a text", '"bisenetv2-camvid"'),
    "engine": Key(str, "a text", '"openvino"'),
    "precision": Key(str, "a text", '"int8"'),
    "size": Key(str, "a text", '"1024x512"'),
    "device": Key(str, "a text", '"cpu"'),
    "threads": Key(int, "an integer above 0", "2", _is_positive),
    "tiles": Key(str, "a text", '"hann"'),
    "crf": Key(str, "a text", '"on"'),
    "overlap": Key(int, "an integer of at least 0", "128", lambda value: value >= 0),
    "opacity": Key((int, float), "a number from 0 to 1", "0.5", lambda value: 0 <= value <= 1),
    "legend": Key(bool, "true or false", "true"),
    "max_age": Key((int, float), "a number of seconds above 0", "1.0", _is_positive),
    "page": Key(str, "a text", '"http://127.0.0.1:8080"'),
    "events": _texts_key('["events.jsonl"]'),
}
STREAM_KEYS = {
    "source": Key(str, "a text", '"camera:0"'),
    "output": _texts_key('["out.mp4", "out.jsonl"]'),
    "weight": Key((int, float), "a number above 0", "1", _is_positive),
    "triggers": Key(
        list,
        "a list of tables",
        '[{class = "Pedestrian", seconds = 2}]',
        lambda value: all(isinstance(each, dict) for each in value),
    ),
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
        values = self._checked(data, KEYS, "")
        if "model" not in values:
            raise self._error("", "", "has no model", 'add a line such as model = "bisenetv2-camvid"')
        if not isinstance(tables, dict) or not tables:
            raise self._error("", "", "has no streams", "add a table such as [streams.front] with a source")
        streams = tuple(self._stream(name, table) for name, table in tables.items())
        if "precision" in values:
            values["precision"] = self._within("", "precision", lambda: precision_from_text(values["precision"]))
        if "size" in values:
            values["size"] = self._within("", "size", lambda: size_from_text(values["size"]))
        if "crf" in values:
            self._within("", "crf", lambda: crf_from_text(values["crf"]))
        if "tiles" in values or "overlap" in values:
            stitch, overlap = values.get("tiles"), values.pop("overlap", None)
            values["tiles"] = self._within("", "tiles", lambda: _tiles(stitch, overlap))
        return RunConfig(streams=streams, place_of=self._place, **values)

    def _stream(self, name: str, table: object) -> StreamEntry:
        where = f"streams.{name}"
        if not NAME.fullmatch(name):
            raise self._error(where, "", f"not a name of a stream: {name}", "use letters, digits, _, - and .")
        if not isinstance(table, dict):
            raise self._error("", "streams", f"{where} is not a table", f"write [{where}] and a source below it")
        values = self._checked(table, STREAM_KEYS, where)
        if "source" not in values:
            raise self._error(where, "", f"[{where}] has no source", 'add a line such as source = "camera:0"')
        if "triggers" in values:
            values["triggers"] = self._within(
                where, "triggers", lambda: tuple(_trigger(table) for table in values["triggers"])
            )
        return StreamEntry(name, **values)

    def _checked(self, table: dict[str, Any], known: Mapping[str, Key], where: str) -> dict[str, Any]:
        """The values of a table, of the right types, lists as tuples, variables replaced."""
        values: dict[str, Any] = {}
        for key, value in table.items():
            name = key.replace("-", "_")
            if name not in known:
                problem = UnknownNameError.among("key", key, known)
                raise self._error(where, key, problem.message, problem.hint, unknown=True)
            if not known[name].takes(value):
                hint = f"write {key} = {known[name].example}"
                raise self._error(where, key, f"{key} is not {known[name].expected}", hint)
            if known[name].types == (str, list):
                texts = value if isinstance(value, list) else [value]
                values[name] = tuple(self._replaced(where, key, text) for text in texts)
            else:
                values[name] = self._replaced(where, key, value) if isinstance(value, str) else value
        return values

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
        place = self._place(where, key) if self._line(where, key) else f"{self._path} "
        text = place + message
        return UnknownNameError(text, hint=hint) if unknown else FormatError(text, hint=hint, code="ES-FORMAT-RUN")

    def _place(self, where: str, key: str) -> str:
        line = self._line(where, key)
        return f"{self._path}, line {line}: " if line else f"{self._path}: "

    def _line(self, where: str, key: str) -> int:
        """The line of a key in the table `where`, or of the table's head; 0 where it is not found."""
        inside, head = not where, 0
        for number, line in enumerate(self._lines, 1):
            text = line.strip()
            if table := HEAD.fullmatch(text):
                inside = bool(where) and table[1].replace('"', "") == where
                head = number if inside else head
            elif key and inside and re.match(rf'"?{re.escape(key)}"?\s*=', text):
                return number
        return head


def _trigger(table: dict[str, Any]) -> TriggerConfig:
    """The trigger of a table; its key `class` is a word of Python."""
    known = ("class", "share", "seconds", "zone")
    for key in table:
        if key not in known:
            raise UnknownNameError.among("key of a trigger", key, known)
    label, zone = table.get("class"), table.get("zone", WHOLE)
    numbers = [table.get("share", 0.01), table.get("seconds", 2.0)]
    if not isinstance(label, str) or not all(map(_is_number, numbers)) or not _is_zone(zone):
        hint = '{class = "Pedestrian", share = 0.01, seconds = 2, zone = [[0, 0.5], [1, 0.5], [1, 1]]}'
        raise FormatError("a trigger has a class, numbers and corners", hint=f"write {hint}")
    share, seconds = numbers
    return TriggerConfig(label, share, seconds, tuple((x, y) for x, y in zone))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_zone(value: object) -> bool:
    """Whether it is a list of pairs of numbers."""
    corners = value if isinstance(value, (list, tuple)) else [None]
    return all(isinstance(each, (list, tuple)) and len(each) == 2 and all(map(_is_number, each)) for each in corners)


def _tiles(stitch: str | None, overlap: int | None) -> Tiles | str | None:
    tiles = tiles_from_options(stitch, overlap)
    tiles_named(tiles, None)  # refuses an unknown name
    return tiles
