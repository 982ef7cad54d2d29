"""The range table: statistics of every float tensor of a model. One table serves every size, head and runtime.

It is a small JSON file: per tensor the exact extremes and a histogram. With it the observer can be chosen, and float16
overflow be checked, without the images.
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
MAKE_AGAIN = "make a table with edgeseg calibrate MODEL.onnx --images DIR"


@dataclass(frozen=True)
class Range:
    """The interval that the 8-bit codes of a tensor must cover."""

    minimum: float
    maximum: float

    @property
    def absmax(self) -> float:
        """The larger magnitude of the two ends."""
        return max(abs(self.minimum), abs(self.maximum))


@dataclass(frozen=True)
class ChannelStats:
    """Statistics by channel, (C,). mean: over all positions and images. absmax: the largest magnitude.

    The channels are those that the weight sums over: axis 1 of the input of a convolution, the last axis of the input
    of a matrix product.
    """

    mean: NDArray[np.float32]
    absmax: NDArray[np.float32]


@dataclass(frozen=True)
class TensorStats:
    """One row: a tensor's statistics over all images. minimum, maximum: exact. histogram: of a regular sample.

    average_minimum, average_maximum: moving averages of each image's extremes; None in tables of older versions.
    channels: only of inputs of convolutions and matrix products with a constant weight.
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


@dataclass(frozen=True)
class RangeTable:
    """tensors: tensor id -> statistics. model: its name, for messages. images_sha256: of all pixels, in order."""

    graph_id: str
    model: str
    images: int
    images_sha256: str
    tensors: Mapping[str, TensorStats]

    def check(self, model: ir.Model, name: str = "this model") -> None:
        """Raise MismatchError unless the table was made with the network of `model`, at any input size."""
        if (graph := graph_id(model)) != self.graph_id:
            message = f"the range table is of {self.model} (graph {self.graph_id}), not of {name} (graph {graph})"
            raise MismatchError(message, hint=MAKE_AGAIN, code="ES-RANGES-OTHER")

    def transferred(self, source: ir.Model, model: ir.Model) -> RangeTable:
        """The same ranges for `model`, which has the tensor names of `source` and other weights.

        MismatchError unless the table is of `source`.
        """
        self.check(source)
        old, new = tensor_ids(source), tensor_ids(model)
        rows = {key: self.tensors[old[name]] for name, key in new.items() if old.get(name) in self.tensors}
        return dataclasses.replace(self, graph_id=graph_id(model), tensors=rows)

    def to_json(self) -> str:
        """JSON with one line per tensor; equal tables give equal text."""
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
        """Read the text of `to_json`. FormatError for other text, MismatchError for a newer schema."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as problem:
            raise FormatError("the range table is not JSON", hint=MAKE_AGAIN) from problem
        data = checked_schema(data, "range table")
        try:
            return cls(
                graph_id=checked_text(data, "graph_id"),
                model=checked_text(data, "model"),
                images=checked_count(data, "images"),
                images_sha256=checked_text(data, "images_sha256"),
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
            raise FormatError(f"{path} is not a range table", hint=MAKE_AGAIN) from problem

    def write(self, path: str | Path) -> Path:
        """Write the table completely or not at all."""
        with whole_file(path) as partial:
            partial.write_bytes(self.to_json().encode())
        return Path(path)


def dict_from_stats(stats: TensorStats) -> dict[str, Any]:
    """Plain data of one row, without the statistics that are None."""
    row: dict[str, Any] = {"name": stats.name, "minimum": stats.minimum, "maximum": stats.maximum}
    if stats.average_minimum is not None and stats.average_maximum is not None:
        row |= {"average_minimum": stats.average_minimum, "average_maximum": stats.average_maximum}
    row["histogram"] = stats.histogram.to_dict()
    if stats.channels is not None:
        channels = {"mean": stats.channels.mean, "absmax": stats.channels.absmax}
        row["channels"] = {key: text_from_floats(values) for key, values in channels.items()}
    return row


def stats_from_dict(row: dict[str, Any]) -> TensorStats:
    """Read the data of `dict_from_stats`. FormatError or ValueError where it cannot be a tensor's statistics."""
    minimum, maximum = checked_interval(row, "minimum", "maximum")
    has_averages = "average_minimum" in row and "average_maximum" in row
    averages: tuple[float | None, float | None] = (None, None)
    if has_averages:
        averages = checked_interval(row, "average_minimum", "average_maximum")
    channels = channels_from_dict(row["channels"]) if "channels" in row else None
    histogram = Histogram.from_dict(row["histogram"])
    return TensorStats(checked_text(row, "name"), minimum, maximum, histogram, *averages, channels)


def checked_interval(row: dict[str, Any], low: str, high: str) -> tuple[float, float]:
    """Two entries of `row`. ValueError unless they are float32 numbers in ascending order."""
    ends = tuple(row[key] for key in (low, high))
    if not all(isinstance(end, (int, float)) and not isinstance(end, bool) and abs(end) <= FP32_MAX for end in ends):
        raise ValueError(f"{low} and {high} are not both finite numbers")
    if ends[0] > ends[1]:
        raise ValueError(f"{low} is above {high}")
    return float(ends[0]), float(ends[1])


def checked_text(row: dict[str, Any], key: str) -> str:
    """A text entry of `row`. ValueError where it is something else."""
    if not isinstance(row[key], str):
        raise ValueError(f"{key} is not text")
    return str(row[key])


def checked_count(row: dict[str, Any], key: str) -> int:
    """An entry of `row` that is a count. ValueError where it is something else."""
    if type(row[key]) is not int or row[key] < 0:
        raise ValueError(f"{key} is not a count")
    return int(row[key])


def channels_from_dict(data: dict[str, str]) -> ChannelStats:
    """Read the statistics by channel. FormatError where means and magnitudes differ in number or are not finite."""
    mean, absmax = floats_from_text(data["mean"]), floats_from_text(data["absmax"])
    if mean.shape != absmax.shape:
        raise FormatError(f"the range table has {mean.size} means for {absmax.size} channels", hint=MAKE_AGAIN)
    if not (np.isfinite(mean).all() and np.isfinite(absmax).all() and (absmax >= 0).all()):
        raise FormatError("the range table has channels whose range is not finite", hint=MAKE_AGAIN)
    return ChannelStats(mean, absmax)


def text_from_floats(values: NDArray[Any]) -> str:
    """Little-endian float32 in base64."""
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def floats_from_text(text: str) -> NDArray[np.float32]:
    """The numbers in the text of `text_from_floats`."""
    return np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)
