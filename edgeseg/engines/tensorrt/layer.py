"""One layer of a compiled plan, as the build log or the engine inspector describes it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

BYTES = {"fp32": 4, "int32": 4, "fp16": 2, "bf16": 2, "int64": 8, "int8": 1, "uint8": 1, "fp8": 1, "bool": 1}


@dataclass(frozen=True)
class PlanTensor:
    """A tensor of a plan. dtype: fp32, fp16, bf16, int8, uint8, int32, ... format: how it lies in memory, as told."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    format: str = ""

    @property
    def bytes(self) -> int:
        """Its size without padding; 0 where a side or the type is unknown."""
        return math.prod(self.shape) * BYTES.get(self.dtype, 0) if min(self.shape, default=0) >= 0 else 0


@dataclass(frozen=True)
class PlanLayer:
    """A layer of a plan.

    op: the runtime's own name for its kind ("correlation", "kgen", "CaskConvolution").
    nodes: the ONNX nodes that it was made of. constants: its weights, where the description has them apart.
    tactic: the kernel, "" where it is not told. stream: the number of the stream that it runs in.
    milliseconds: its time, where it was measured on a GPU.
    """

    name: str
    op: str
    nodes: tuple[str, ...] = ()
    inputs: tuple[PlanTensor, ...] = ()
    outputs: tuple[PlanTensor, ...] = ()
    constants: tuple[PlanTensor, ...] = ()
    tactic: str = ""
    stream: int = 0
    milliseconds: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a sidecar, without what is empty."""
        return {key: value for key, value in asdict(self).items() if value not in ((), "", None)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PlanLayer:
        """Read `to_dict`'s data. TypeError or KeyError where it is none."""
        fields: dict[str, Any] = {**data, "nodes": tuple(data.get("nodes", ()))}
        for key in ("inputs", "outputs", "constants"):
            tensors = ({**tensor, "shape": tuple(tensor["shape"])} for tensor in data.get(key, ()))
            fields[key] = tuple(PlanTensor(**tensor) for tensor in tensors)
        return cls(**fields)
