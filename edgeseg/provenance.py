"""What a file says of its origin, its build and its labels, as frozen values: the typed part of a sidecar.

Each is read from plain JSON data, in which any value may be missing or wrong: a FormatError says which one is.
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

Record = Mapping[str, Any]  # JSON data that is shown to people and read by no other code
MAX_DEPTH = 32
MAKE_AGAIN = "make the file again with edgeseg"
KINDS: dict[str, type | tuple[type, ...]] = {  # by the annotation of a field
    "str": str,
    "int": int,
    "float | None": (int, float),
    "Record": Mapping,
    "tuple[str, ...]": (list, tuple),
    "tuple[Record, ...]": (list, tuple),
}


@dataclass(frozen=True)
class RangeSource:
    """Which ranges an int8 or fp16 ONNX rests on. observer, corrections: how the int8 codes were chosen."""

    images: int = 0
    images_sha256: str = ""
    observer: str = ""
    corrections: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without what is not known."""
        return filled(self)

    @classmethod
    def from_dict(cls, data: Any) -> RangeSource:
        """Read `to_dict`'s data."""
        return cls(**values_of(cls, data, "ranges"))


@dataclass(frozen=True)
class Provenance:
    """Where a file comes from: names without paths and times.

    weights, weights_sha256: of the weights file; of a tuned network the hash of its weights. origin: whose checkpoint
    that is. source, source_sha256: of the ONNX of somebody else that was adopted. onnx_sha256: of the float ONNX that
    was quantised, target: for which engine, ranges: with what. built_from_sha256: of the ONNX that an engine was
    compiled from.
    qat: the recipe of a quantisation-aware training; tuned_from: the provenance of the ONNX that it began with.
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
        """The observer whose rounding the weights have learnt; "" where they were not trained for int8."""
        return str(self.qat.get("observer", ""))

    @property
    def identity(self) -> str:
        """The hash of the weights, of what holds them, or of how they were tuned; "" where that is not known."""
        if self.tuned_from is None or self.weights_sha256:
            return self.weights_sha256 or self.source_sha256
        tuning = Provenance(qat=self.qat, tuned_from=self.tuned_from).to_dict()
        return hashlib.sha256(json.dumps(tuning, sort_keys=True, default=str).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without what is not known."""
        data = filled(self)
        if self.ranges is not None:
            data["ranges"] = self.ranges.to_dict()
        if self.tuned_from is not None:
            data["source"] = self.tuned_from.to_dict()
        return {key: value for key, value in data.items() if key != "tuned_from"}

    @classmethod
    def from_dict(cls, data: Any) -> Provenance:
        """Read `to_dict`'s data; "source" is a name, or the provenance that a tuned network began with."""
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
    """What an engine's own builder was told and said. Engines that only copy an ONNX have none.

    onnx: the file name of the ONNX that it compiled. version: of the runtime. options: as `BuildOptions.to_dict`.
    layers: those of the compiled plan. The rest is for people.
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
        """Whether later versions of the runtime take it."""
        return bool(self.options.get("portable"))

    @property
    def is_for_any_gpu(self) -> bool:
        """Whether it runs on other GPUs than that it was built on."""
        return bool(self.options.get("any_gpu"))

    @property
    def batch(self) -> tuple[int, int]:
        """The fewest and the most images that it takes at once."""
        fewest, _, most = self.options.get("batch", (1, 1, 1))
        return int(fewest), int(most)

    @property
    def gpus(self) -> tuple[str, ...]:
        """The compute capabilities that it was built for; () for the device's own."""
        return tuple(map(str, self.options.get("gpus", ())))

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without what is not known; empty where there was no builder."""
        return filled(self)

    @classmethod
    def from_dict(cls, data: Any) -> BuildInfo:
        """Read `to_dict`'s data."""
        found = cls(**values_of(cls, data, "build"))
        batch, gpus = found.options.get("batch", (1, 1, 1)), found.options.get("gpus", ())
        lists = isinstance(gpus, (list, tuple)) and isinstance(batch, (list, tuple))
        if not lists or len(batch) != 3 or not all(isinstance(each, int) and each > 0 for each in batch):
            raise FormatError("the build has something else where its batch or GPUs belong", hint=MAKE_AGAIN)
        if not all(isinstance(layer, Mapping) for layer in found.layers):
            raise FormatError("the build has something else where its layers belong", hint=MAKE_AGAIN)
        return found


@dataclass(frozen=True)
class Agreement:
    """How an engine's labels compare with those of the float model.

    frames, labels, max_abs_logit_difference: against the float model; labels is a share. source_labels,
    source_relative_rms: against the ONNX that it was built from. images: on which images. note: is there where the
    labels say nothing. judged: what was compared in place of an engine that this machine builds and cannot run.
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
        """Whether the engine itself was run."""
        return not self.judged

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without what is not known."""
        return filled(self)

    @classmethod
    def from_dict(cls, data: Any) -> Agreement:
        """Read `to_dict`'s data."""
        return cls(**values_of(cls, data, "agreement"))


def filled(value: Any) -> dict[str, Any]:
    """The fields of a dataclass that differ from their defaults, as plain data."""
    fields = [(each.name, getattr(value, each.name)) for each in dataclasses.fields(value)]
    empty = type(value)()
    return {name: listed(each) for name, each in fields if each != getattr(empty, name)}


def listed(value: Any) -> Any:
    """`value` with a list for a tuple and a dict for a mapping."""
    return list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value


def values_of(kind: type[Any], data: Any, what: str) -> dict[str, Any]:
    """The values of `data` for the plain fields of the dataclass `kind`; other keys are passed over.

    what: the part of a file that `data` is. FormatError for a value of another type than its field has.
    """
    if not isinstance(data, Mapping):
        raise FormatError(f"the {what} of the file is no JSON object", hint=MAKE_AGAIN)
    found: dict[str, Any] = {}
    for each in dataclasses.fields(kind):
        value, wanted = data.get(each.name), KINDS.get(str(each.type), object)
        if value is None:
            continue
        valid = isinstance(value, wanted) and not isinstance(value, bool)
        if not valid or (isinstance(value, (int, float)) and not math.isfinite(value)):
            raise FormatError(f"the {what} of the file has no valid {each.name}: {value!r:.60}", hint=MAKE_AGAIN)
        found[each.name] = tuple(value) if isinstance(value, list) else value
    return found


def check_depth(data: Any, left: int = MAX_DEPTH) -> None:
    """FormatError where JSON data is nested deeper than any file of edgeseg is."""
    if left == 0:
        raise FormatError("the file is nested too deeply", hint=MAKE_AGAIN)
    if isinstance(data, (dict, list)):
        for each in data.values() if isinstance(data, dict) else data:
            check_depth(each, left - 1)
