"""The range table: what every float tensor of a model was seen to hold. One table serves every size, head and runtime.

It is a small JSON file: per tensor the exact extremes and a histogram, so that the observer can be chosen, and float16
overflow be looked for, without the images.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.calib.histogram import Histogram
from edgeseg.errors import FormatError, MismatchError
from edgeseg.files import existing_file, whole_file
from edgeseg.graph.identity import graph_id, tensor_ids
from edgeseg.spec import SCHEMA, checked_schema

FP16_MAX = 65504.0
FP32_MAX = float(np.finfo(np.float32).max)
MAKE_AGAIN = "edgeseg calibrate MODEL.onnx --images DIR, to make a table for it"


@dataclass(frozen=True)
class Range:
    """The interval that the 8-bit codes of a tensor have to cover."""

    minimum: float
    maximum: float

    @property
    def absmax(self) -> float:
        """The larger magnitude of the two ends."""
        return max(abs(self.minimum), abs(self.maximum))


@dataclass(frozen=True)
class ChannelStats:
    """What each channel of a tensor held, (C,). mean: over all positions and images. absmax: the largest magnitude.

    The channels are those that the weight sums over: axis 1 of what enters a convolution, the last axis of what enters
    a matrix product.
    """

    mean: NDArray[np.float32]
    absmax: NDArray[np.float32]


@dataclass(frozen=True)
class TensorStats:
    """What one tensor held over all images. minimum, maximum: exact. histogram: of a regular sample of its values.

    average_minimum, average_maximum: moving averages of each image's extremes; None in tables made without them.
    channels: only of tensors that enter a convolution or matrix product with a constant weight.
    """

    name: str
    minimum: float
    maximum: float
    histogram: Histogram
    average_minimum: float | None = None
    average_maximum: float | None = None
    channels: ChannelStats | None = None

    @property
    def absmax(self) -> float:
        """The largest magnitude."""
        return max(abs(self.minimum), abs(self.maximum))

    @property
    def overflows_fp16(self) -> bool:
        """Whether a value was seen that float16 cannot hold."""
        return self.absmax > FP16_MAX


@dataclass(frozen=True)
class RangeTable:
    """Tensor id -> what it held. model: name, for messages. images_sha256: of the pixels, in order."""

    graph_id: str
    model: str
    images: int
    images_sha256: str
    tensors: Mapping[str, TensorStats]

    def check(self, model: ir.Model, name: str = "this model") -> None:
        """Raise MismatchError unless the table was made with the network of `model`, at any input size."""
        found = graph_id(model)
        if found != self.graph_id:
            raise MismatchError(
                f"the range table is of {self.model} (graph {self.graph_id}), not of {name} (graph {found})",
                hint=MAKE_AGAIN,
            )

    def moved(self, source: ir.Model, model: ir.Model) -> RangeTable:
        """The same ranges for `model`, which has the tensors of `source`, by name, and other weights.

        MismatchError unless the table is of `source`.
        """
        self.check(source)
        old, new = tensor_ids(source), tensor_ids(model)
        rows = {key: self.tensors[old[name]] for name, key in new.items() if old.get(name) in self.tensors}
        return dataclasses.replace(self, graph_id=graph_id(model), tensors=rows)

    def to_json(self) -> str:
        """JSON with one line a tensor; equal tables give equal text."""
        head = {
            "schema": SCHEMA,
            "model": self.model,
            "graph_id": self.graph_id,
            "images": self.images,
            "images_sha256": self.images_sha256,
        }
        rows = (f"{json.dumps(key)}: {json.dumps(dict_from_stats(stats))}" for key, stats in self.tensors.items())
        return json.dumps(head)[:-1] + ', "tensors": {\n' + ",\n".join(rows) + "\n}}\n"

    @classmethod
    def from_json(cls, text: str) -> RangeTable:
        """Read `to_json`'s text. FormatError where it is none; MismatchError where its schema is newer."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as problem:
            raise FormatError("the range table is not JSON", hint=MAKE_AGAIN) from problem
        data = checked_schema(data, "range table")
        try:
            return cls(
                graph_id=text_of(data, "graph_id"),
                model=text_of(data, "model"),
                images=count_of(data, "images"),
                images_sha256=text_of(data, "images_sha256"),
                tensors={key: stats_from_dict(row) for key, row in data["tensors"].items()},
            )
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as problem:
            raise FormatError(f"the range table is incomplete: {problem}", hint=MAKE_AGAIN) from problem

    @classmethod
    def open(cls, path: str | Path) -> RangeTable:
        """The table in the file at `path`."""
        path = existing_file(path)
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError as problem:
            raise FormatError(f"{path} is no range table", hint=MAKE_AGAIN) from problem

    def write(self, path: str | Path) -> Path:
        """Write the table, whole or not at all."""
        with whole_file(path) as partial:
            partial.write_bytes(self.to_json().encode())
        return Path(path)


def dict_from_stats(stats: TensorStats) -> dict[str, Any]:
    """Plain data of one row. What is not known is left out."""
    row: dict[str, Any] = {"name": stats.name, "minimum": stats.minimum, "maximum": stats.maximum}
    if stats.average_minimum is not None and stats.average_maximum is not None:
        row |= {"average_minimum": stats.average_minimum, "average_maximum": stats.average_maximum}
    row["histogram"] = stats.histogram.to_dict()
    if stats.channels is not None:
        channels = {"mean": stats.channels.mean, "absmax": stats.channels.absmax}
        row["channels"] = {key: text_from_floats(values) for key, values in channels.items()}
    return row


def stats_from_dict(row: dict[str, Any]) -> TensorStats:
    """Read `dict_from_stats`'s data. FormatError or ValueError where they are no range that a tensor can have."""
    minimum, maximum = interval_of(row, "minimum", "maximum")
    known = "average_minimum" in row and "average_maximum" in row
    lowest, highest = interval_of(row, "average_minimum", "average_maximum") if known else (None, None)
    channels = channels_from_dict(row["channels"]) if "channels" in row else None
    histogram = Histogram.from_dict(row["histogram"])
    return TensorStats(text_of(row, "name"), minimum, maximum, histogram, lowest, highest, channels)


def interval_of(row: dict[str, Any], least: str, largest: str) -> tuple[float, float]:
    """Two entries of `row` as the ends of a range. ValueError unless they are float32 numbers in that order."""
    ends = tuple(row[key] for key in (least, largest))
    if not all(isinstance(end, (int, float)) and not isinstance(end, bool) and abs(end) <= FP32_MAX for end in ends):
        raise ValueError(f"{least} and {largest} are not both finite numbers")
    if ends[0] > ends[1]:
        raise ValueError(f"{least} is above {largest}")
    return float(ends[0]), float(ends[1])


def text_of(row: dict[str, Any], key: str) -> str:
    """An entry of `row` that is text. ValueError where it is something else."""
    if not isinstance(row[key], str):
        raise ValueError(f"{key} is no text")
    return str(row[key])


def count_of(row: dict[str, Any], key: str) -> int:
    """An entry of `row` that counts something. ValueError where it does not."""
    if type(row[key]) is not int or row[key] < 0:
        raise ValueError(f"{key} is no count")
    return int(row[key])


def channels_from_dict(data: dict[str, str]) -> ChannelStats:
    """Read a row's channels. FormatError where means and magnitudes are not of the same channels, or no numbers."""
    mean, absmax = floats_from_text(data["mean"]), floats_from_text(data["absmax"])
    if mean.shape != absmax.shape:
        raise FormatError(f"the range table has {mean.size} means for {absmax.size} channels", hint=MAKE_AGAIN)
    if not (np.isfinite(mean).all() and np.isfinite(absmax).all() and (absmax >= 0).all()):
        raise FormatError("the range table has channels whose range is not finite", hint=MAKE_AGAIN)
    return ChannelStats(mean, absmax)


def text_from_floats(values: NDArray[Any]) -> str:
    """float32, the lowest byte first, in base64."""
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def floats_from_text(text: str) -> NDArray[np.float32]:
    """The numbers in `text_from_floats`'s text."""
    return np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)
