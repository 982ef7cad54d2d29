"""The model spec, one frozen value inside every model file: task, labels, input, normalisation, geometry.

    ModelSpec
    ├── Task         semantic, instance or panoptic
    ├── InputSpec    size, colour order, mean and std, resize rule
    │   └── Tiles    how larger frames are cut, if they are not resized
    ├── LabelSet     names, palette, ignore index, countable classes
    └── OutputSpec   name and kind of an output, if the graph has several

Its JSON has `schema: 2`; schema 1 can be read, and a newer schema is refused with the command that upgrades edgeseg.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

from edgeseg.errors import FormatError, MismatchError, SizeError, UnknownNameError

SCHEMA = 2
STITCHES = ("hann", "centre")
SIZE = re.compile("([0-9]{1,9})x([0-9]{1,9})")
MAX_PIXELS = 1 << 26  # of an input, 8192x8192; a larger one means a damaged file


class Task(str, Enum):
    """What a model predicts: a class for each pixel, objects with a mask each, or both."""

    SEMANTIC = "semantic"
    INSTANCE = "instance"
    PANOPTIC = "panoptic"

    def __str__(self) -> str:
        return self.value


class Precision(str, Enum):
    """The number format of an engine's convolutions and matrix products."""

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"
    INT8 = "int8"

    def __str__(self) -> str:
        return self.value


class Output(str, Enum):
    """The output of the graph: low-resolution logits (N, C, h, w) float, or a mask (N, H, W) uint8."""

    LOGITS = "logits"
    MASK = "mask"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a graph. A dimension that is not fixed is -1."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class SizeRule:
    """The input sizes that a network takes: both sides a multiple of `multiple`, and at least `minimum`."""

    multiple: int = 1
    minimum: int = 1

    def fits(self, width: int, height: int) -> bool:
        """Whether a network with this rule takes WIDTHxHEIGHT."""
        return all(side >= self.minimum and side % self.multiple == 0 for side in (width, height))

    def nearest(self, width: int, height: int) -> list[tuple[int, int]]:
        """The nearest sizes that fit, smaller one first; one entry if both are equal."""
        below = tuple(max(self._floor(side), self.floor_minimum) for side in (width, height))
        above = tuple(max(-self._floor(-side), self.floor_minimum) for side in (width, height))
        return list(dict.fromkeys([(below[0], below[1]), (above[0], above[1])]))

    def check(self, width: int, height: int, *, model: str) -> None:
        """SizeError, with the nearest sizes that fit, unless WIDTHxHEIGHT fits."""
        if not self.fits(width, height):
            nearest = " or ".join(f"{w}x{h}" for w, h in self.nearest(width, height))
            rule = f"multiples of {self.multiple}, at least {self.floor_minimum}"
            raise SizeError(f"{model} does not take {width}x{height}: it takes {rule}", hint=f"use {nearest}")

    @property
    def floor_minimum(self) -> int:
        """The smallest side that fits."""
        return -(-self.minimum // self.multiple) * self.multiple

    def _floor(self, side: int) -> int:
        return side // self.multiple * self.multiple


@dataclass(frozen=True)
class Tiles:
    """How to cut a frame that is larger than the input, instead of resizing it: into tiles of the input's size.

    overlap: pixels that neighbouring tiles share at least; None for a quarter of the tile. stitch: "hann", blend the
    logits of neighbours over the middle half of the overlap, or "centre", take each pixel from the nearest tile.
    """

    overlap: int | None = None
    stitch: str = STITCHES[0]

    def __post_init__(self) -> None:
        if self.stitch not in STITCHES:
            raise UnknownNameError.among("way to stitch tiles", str(self.stitch), STITCHES)
        is_number = isinstance(self.overlap, int) and not isinstance(self.overlap, bool)
        if self.overlap is not None and (not is_number or self.overlap < 0):
            message = f"{self.overlap!r} is not an overlap of tiles"
            raise SizeError(message, hint="give a number of pixels, for example 128", code="ES-SIZE-TILES")


@dataclass(frozen=True)
class InputSpec:
    """How an image becomes the network's input: resized to WIDTHxHEIGHT, then (x / 255 - mean) / std by channel.

    mean, std: in the order of `color`, for values in 0..1.
    resize: "stretch" (the aspect ratio changes), bilinear with half-pixel centres.
    tiles: how a larger image is cut instead; None to resize it, too.
    """

    width: int
    height: int
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    color: str = "rgb"
    resize: str = "stretch"
    tiles: Tiles | None = None

    def __post_init__(self) -> None:
        if min(self.width, self.height) < 1 or self.width * self.height > MAX_PIXELS:
            raise SizeError(
                f"{self.width}x{self.height} is not an input size", hint="use the size of frames, such as 1024x512"
            )
        if self.tiles is not None and (self.tiles.overlap or 0) >= min(self.width, self.height):
            message = f"tiles of {self.width}x{self.height} cannot overlap by {self.tiles.overlap} pixels"
            raise SizeError(message, hint="use at most half of the shorter side", code="ES-SIZE-TILES")
        if self.color not in ("rgb", "bgr"):
            raise spec_error(f"unknown colour order {self.color!r}", 'use "rgb" or "bgr"')
        if self.resize != "stretch":
            raise spec_error(f"unknown resize rule {self.resize!r}", 'this version knows "stretch"')
        if len(self.mean) != 3 or len(self.std) != 3 or not all(0 < s < math.inf for s in self.std):
            raise spec_error("mean and std need three values each, std above 0")
        if not all(map(math.isfinite, self.mean)):
            raise spec_error("the mean is not finite")


@dataclass(frozen=True)
class LabelSet:
    """The classes, in the order of the logits.

    ignore: the id of pixels in the ground truth that are not evaluated. things: ids of the countable classes.
    """

    names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    ignore: int = 255
    things: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.names) <= 255 or len(self.palette) != len(self.names):
            message = f"the spec has {len(self.names)} label names and {len(self.palette)} colours"
            raise spec_error(message, "give 1 to 255 names and one colour each")
        if not all(isinstance(name, str) for name in self.names):
            raise spec_error("a label name is not text")
        if not all(len(color) == 3 and all(map(is_byte, color)) for color in self.palette) or not is_byte(self.ignore):
            raise spec_error("a colour or the ignored id is not in 0..255")
        if not all(isinstance(thing, int) and 0 <= thing < len(self.names) for thing in self.things):
            raise spec_error(f"invalid countable classes {list(self.things)}", f"use ids from 0 to {len(self) - 1}")

    def colors(self) -> dict[str, tuple[int, int, int]]:
        """The rgb colour of each class by name."""
        return dict(zip(self.names, self.palette))

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class OutputSpec:
    """The name and kind of one output of a graph."""

    name: str
    kind: Output


@dataclass(frozen=True)
class ModelSpec:
    """The properties of a model that its engines and the code around them need.

    task: the kind of its predictions, which selects the decoder.
    outputs: those that the decoder reads, in its order; () for the first output of the graph.
    family, variant: the entry of edgeseg.models.FAMILIES that builds it; family "" for a graph from elsewhere.
    align_corners: how logits are upsampled to the size of the label or frame.
    licence: SPDX identifier of the weights.
    """

    name: str
    input: InputSpec
    labels: LabelSet
    family: str = ""
    variant: str = ""
    align_corners: bool = False
    licence: str = "unknown"
    task: Task = Task.SEMANTIC
    outputs: tuple[OutputSpec, ...] = ()

    def __post_init__(self) -> None:
        if not all(isinstance(text, str) for text in (self.name, self.family, self.variant, self.licence)):
            raise spec_error("the name, family, variant or licence is not text")
        if not isinstance(self.align_corners, bool):
            raise spec_error("align_corners is neither true nor false")
        if set(self.name) & set("/\\\0"):
            raise spec_error(f"{self.name!r} is not a model name", "it becomes a file name: leave out slashes")

    def tiled(self, tiles: Tiles | None) -> ModelSpec:
        """The spec with another way to cut larger frames; None to resize them."""
        return dataclasses.replace(self, input=dataclasses.replace(self.input, tiles=tiles))

    def resized(self, width: int, height: int) -> ModelSpec:
        """The spec with another input size. The size rule of the family is checked when the module is built."""
        return dataclasses.replace(self, input=dataclasses.replace(self.input, width=width, height=height))

    def to_json(self) -> str:
        """One line of JSON with sorted keys: equal specs give equal text."""
        return json.dumps(self.to_dict(), sort_keys=True)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a sidecar."""
        data = {"schema": SCHEMA, **dataclasses.asdict(self)}
        if self.input.tiles is None:  # older versions read the file, too
            del data["input"]["tiles"]
        return data

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """Read `to_json`'s text. FormatError if it is invalid; MismatchError if its schema is newer."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as problem:
            raise spec_error("the model spec is not JSON") from problem
        return cls.from_dict(data)

    @classmethod
    def from_dict(cls, data: Any) -> ModelSpec:
        """Read `to_dict`'s data."""
        fields = {
            key: value for key, value in checked_schema(data, "model spec", "ES-FORMAT-SPEC").items() if key != "schema"
        }
        try:
            inputs: dict[str, Any] = dict(fields.pop("input"))
            sides = {key: int(inputs[key]) for key in ("width", "height")}
            norms = {key: tuple(map(float, inputs[key])) for key in ("mean", "std")}
            inputs["tiles"] = None if inputs.get("tiles") is None else Tiles(**inputs["tiles"])
            labels: dict[str, Any] = dict(fields.pop("labels"))
            return cls(
                input=InputSpec(**{**inputs, **sides, **norms}),
                labels=LabelSet(
                    names=tuple(labels["names"]),
                    palette=tuple(tuple(color) for color in labels["palette"]),
                    ignore=labels["ignore"],
                    things=tuple(labels.get("things", ())),
                ),
                task=Task(fields.pop("task", Task.SEMANTIC)),
                outputs=tuple(OutputSpec(each["name"], Output(each["kind"])) for each in fields.pop("outputs", ())),
                **fields,
            )
        except (KeyError, OverflowError, TypeError, ValueError, UnknownNameError) as problem:
            raise spec_error(f"the model spec is incomplete: {problem}") from problem


def spec_error(message: str, hint: str = "export the model again") -> FormatError:
    """The error for an invalid spec."""
    return FormatError(message, hint=hint, code="ES-FORMAT-SPEC")


def is_byte(value: Any) -> bool:
    """Whether `value` is an int of 0..255 and no bool."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255


def checked_schema(data: Any, what: str, code: str = "ES-FORMAT") -> dict[str, Any]:
    """`data`, if it is a JSON object with a schema that this version reads."""
    if not isinstance(data, dict) or not isinstance(data.get("schema"), int):
        message = f"this is not a {what}: it has no schema number"
        raise FormatError(message, hint="make it again with edgeseg", code=code)
    if data["schema"] > SCHEMA:
        raise MismatchError(
            f"this {what} has schema {data['schema']}, and this version reads up to {SCHEMA}",
            hint="pip install --upgrade edgeseg",
        )
    return data


def size_from_text(text: str) -> tuple[int, int]:
    """(width, height) of "WIDTHxHEIGHT"."""
    sides = SIZE.fullmatch(text.lower())
    if not sides or not (int(sides[1]) and int(sides[2])):
        raise SizeError(f"{text} is not a size", hint="write WIDTHxHEIGHT, for example 1024x512")
    return int(sides[1]), int(sides[2])


def precision_from_text(text: str) -> Precision:
    """The precision of this name, in any case. UnknownNameError where none has it."""
    try:
        return Precision(text.lower())
    except ValueError:
        raise UnknownNameError.among("precision", text, [str(precision) for precision in Precision]) from None


def tiles_from_options(stitch: str | None, overlap: int | None) -> Tiles | str | None:
    """The request of --tiles and --overlap. MismatchError for an overlap without tiles."""
    if overlap is None:
        return stitch
    if stitch in (None, "off"):
        hint = f"add --tiles {STITCHES[0]} or --tiles {STITCHES[1]}"
        raise MismatchError("an overlap is of tiles, and there are none", hint=hint, code="ES-MISMATCH-OPTIONS")
    return Tiles(overlap, str(stitch))


def tiles_named(tiles: Tiles | str | None, own: Tiles | None) -> Tiles | None:
    """The tiles of a request: "hann" or "centre", "off" to resize larger frames, None for the model's `own`."""
    if tiles is None:
        return own
    if isinstance(tiles, Tiles):
        return tiles
    if tiles not in (*STITCHES, "off"):
        raise UnknownNameError.among("way to stitch tiles", str(tiles), (*STITCHES, "off"))
    return None if tiles == "off" else Tiles(stitch=tiles)
