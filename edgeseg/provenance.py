"""The typed records of a sidecar: provenance, build and agreement.

They are read from JSON in which any value may be missing or wrong; a FormatError names the wrong one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgeseg.errors import FormatError

Record = Mapping[str, Any]  # JSON data that is only displayed
MAX_DEPTH = 32
MAKE_AGAIN = "make the file again with edgeseg"
KINDS: dict[str, type | tuple[type, ...]] = {  # annotation of a field -> accepted JSON types
    "str": str,
    "int": int,
    "float | None": (int, float),
    "Record": Mapping,
    "tuple[str, ...]": (list, tuple),
    "tuple[Record, ...]": (list, tuple),
}


@dataclass(frozen=True)
class RangeSource:
    """The calibration of an int8 or fp16 ONNX. observer, corrections: how the int8 scales were chosen.

    weight_bits: of int8 weights, 7 or 8; 0 where it was not recorded.
    """

    images: int = 0
    images_sha256: str = ""
    observer: str = ""
    corrections: tuple[str, ...] = ()
    weight_bits: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without empty fields."""
        return filled(self)

    @classmethod
    def from_dict(cls, data: Any) -> RangeSource:
        """Read `to_dict`'s data."""
        return cls(**values_of(cls, data, "ranges"))


@dataclass(frozen=True)
class Provenance:
    """Where a file comes from: names without paths and times.

    weights, weights_sha256: of the weights file, or the hash of fine-tuned weights. origin: the checkpoint format of
    weights from elsewhere. source, source_sha256: of an adopted ONNX. onnx_sha256: of the float ONNX that was
    quantised for the engine `target` with `ranges`. built_from_sha256: of the ONNX that an engine was compiled from.
    qat: the recipe of a quantisation-aware training. tuned_from: the provenance of the ONNX that it started from.
    """

    weights: str = ""
    weights_sha256: str = ""
    origin: str = ""
    source: str = ""
    source_sha256: str = ""
    onnx_sha256: str = ""
    target: str = ""
    ranges: RangeSource | None = None
    built_from_sha256: str = ""
    qat: Record = field(default_factory=dict)
    tuned_from: Provenance | None = None

    @property
    def qat_observer(self) -> str:
        """The observer of the quantisation-aware training; "" without such a training."""
        return str(self.qat.get("observer", ""))

    @property
    def weight_bits(self) -> int:
        """Of int8 weights; 0 where it was not recorded."""
        return self.ranges.weight_bits if self.ranges is not None else 0

    @property
    def identity(self) -> str:
        """The hash of the weights, of the adopted ONNX, or of the tuning; "" if unknown."""
        if self.tuned_from is None or self.weights_sha256:
            return self.weights_sha256 or self.source_sha256
        tuning = Provenance(qat=self.qat, tuned_from=self.tuned_from).to_dict()
        return hashlib.sha256(json.dumps(tuning, sort_keys=True, default=str).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without empty fields."""
        data = filled(self)
        if self.ranges is not None:
            data["ranges"] = self.ranges.to_dict()
        if self.tuned_from is not None:
            data["source"] = self.tuned_from.to_dict()
        return {key: value for key, value in data.items() if key != "tuned_from"}

    @classmethod
    def from_dict(cls, data: Any) -> Provenance:
        """Read `to_dict`'s data; "source" is a name, or for a fine-tuned network the provenance it started from."""
        fields = dict(data) if isinstance(data, Mapping) else data
        nested: dict[str, Any] = {}
        if isinstance(fields, dict):
            if isinstance(fields.get("source"), Mapping):
                nested["tuned_from"] = cls.from_dict(fields.pop("source"))
            if "ranges" in fields:
                nested["ranges"] = RangeSource.from_dict(fields.pop("ranges"))
        return cls(**values_of(cls, fields, "provenance"), **nested)


@dataclass(frozen=True)
class BuildInfo:
    """Options and results of an engine's builder. Empty for engines that only copy an ONNX.

    onnx: the file name of the compiled ONNX. version: of the runtime. options: as `BuildOptions.to_dict`.
    layers: those of the compiled plan. The other fields are only displayed.
    """

    onnx: str = ""
    version: str = ""
    options: Record = field(default_factory=dict)
    profile: tuple[Any, ...] = ()
    plan_bytes: int = 0
    fell_back: tuple[str, ...] = ()
    trtexec: str = ""
    layers: tuple[Record, ...] = ()

    @property
    def is_portable(self) -> bool:
        """Whether later versions of the runtime can load it."""
        return bool(self.options.get("portable"))

    @property
    def is_for_any_gpu(self) -> bool:
        """Whether it runs on other GPUs than the one it was built on."""
        return bool(self.options.get("any_gpu"))

    @property
    def batch(self) -> tuple[int, int]:
        """The minimum and maximum batch size."""
        minimum, _, maximum = self.options.get("batch", (1, 1, 1))
        return int(minimum), int(maximum)

    @property
    def gpus(self) -> tuple[str, ...]:
        """The compute capabilities that it was built for; () for that of the device."""
        return tuple(map(str, self.options.get("gpus", ())))

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without empty fields."""
        return filled(self)

    @classmethod
    def from_dict(cls, data: Any) -> BuildInfo:
        """Read `to_dict`'s data."""
        build = cls(**values_of(cls, data, "build"))
        batch, gpus = build.options.get("batch", (1, 1, 1)), build.options.get("gpus", ())
        lists = isinstance(gpus, (list, tuple)) and isinstance(batch, (list, tuple))
        if not lists or len(batch) != 3 or not all(isinstance(each, int) and each > 0 for each in batch):
            raise FormatError("the build has no valid batch or GPUs", hint=MAKE_AGAIN)
        if not all(isinstance(layer, Mapping) for layer in build.layers):
            raise FormatError("the build has no valid layers", hint=MAKE_AGAIN)
        return build


@dataclass(frozen=True)
class Agreement:
    """How the labels of an engine compare with those of the float model.

    frames, labels, max_abs_logit_difference: against the float model; labels is a share. source_labels,
    source_relative_rms: against the ONNX that it was built from. images: the images used. note: why the comparison
    means little, else "". judged: what was compared instead of an engine that this machine cannot run.
    """

    frames: int = 0
    labels: float | None = None
    max_abs_logit_difference: float | None = None
    source_labels: float | None = None
    source_relative_rms: float | None = None
    images: str = ""
    note: str = ""
    judged: str = ""

    @property
    def is_of_engine(self) -> bool:
        """Whether the engine itself was compared."""
        return not self.judged

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without empty fields."""
        return filled(self)

    @classmethod
    def from_dict(cls, data: Any) -> Agreement:
        """Read `to_dict`'s data."""
        return cls(**values_of(cls, data, "agreement"))


def filled(value: Any) -> dict[str, Any]:
    """The fields of a dataclass that differ from their defaults, as plain data."""
    default = type(value)()
    values = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    return {name: to_json(each) for name, each in values.items() if each != getattr(default, name)}


def to_json(value: Any) -> Any:
    """`value` with tuples as lists and mappings as dicts."""
    return list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value


def values_of(kind: type[Any], data: Any, what: str) -> dict[str, Any]:
    """The values of `data` for the fields of the dataclass `kind`; other keys are ignored.

    what: the part of the file, for messages. FormatError if a value does not have the type of its field.
    """
    if not isinstance(data, Mapping):
        raise FormatError(f"the {what} of the file is not a JSON object", hint=MAKE_AGAIN)
    values: dict[str, Any] = {}
    for each in dataclasses.fields(kind):
        value, wanted = data.get(each.name), KINDS.get(str(each.type), object)
        if value is None:
            continue
        valid = isinstance(value, wanted) and not isinstance(value, bool)
        if not valid or (isinstance(value, (int, float)) and not math.isfinite(value)):
            raise FormatError(f"the {what} of the file has no valid {each.name}: {value!r:.60}", hint=MAKE_AGAIN)
        values[each.name] = tuple(value) if isinstance(value, list) else value
    return values


def check_depth(data: Any, depth: int = MAX_DEPTH) -> None:
    """FormatError if JSON data is nested deeper than `depth`."""
    if depth == 0:
        raise FormatError("the file is nested too deeply", hint=MAKE_AGAIN)
    if isinstance(data, (dict, list)):
        for each in data.values() if isinstance(data, dict) else data:
            check_depth(each, depth - 1)
