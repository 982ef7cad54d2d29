"""How far an engine is from its ONNX as it is written, where both end in the same tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx_ir as ir

from edgeseg.artifact import LoadedModel, written_onnx
from edgeseg.engines.agreement import SOURCE_RMS, all_finite, relative_rms
from edgeseg.engines.backend import Array, Backend
from edgeseg.engines.engine import Engine
from edgeseg.engines.options import BuildOptions, RunOptions
from edgeseg.engines.reference import plain_outputs
from edgeseg.graph.truncate import bypass_pairs, truncate_graph
from edgeseg.spec import Precision

Names = tuple[str, ...]
Outputs = Mapping[str, Array]  # of one frame


@dataclass(frozen=True)
class Deviation:
    """How far an engine is from its ONNX as it is written.

    rms: relative; nan where a value is not finite. allowed: how large it may be. frame: on which of them it is largest.
    finite: whether the ONNX itself gives finite numbers.
    """

    rms: float
    allowed: float
    frame: int
    finite: bool

    @property
    def ratio(self) -> float:
        """How many times what is allowed it is; infinite for what is not finite."""
        return float("inf") if np.isnan(self.rms) else self.rms / self.allowed

    @property
    def off(self) -> bool:
        """Whether it is too far, or not finite."""
        return self.ratio > 1.0

    def __bool__(self) -> bool:
        """Whether it is allowed: what Polygraphy asks of the result of a comparison."""
        return not self.off


@dataclass(frozen=True)
class SubgraphComparator:
    """An ONNX and what an engine makes of it, compared in any of its tensors: the graph is cut to end in them.

    A tensor that is marked as one more output of the whole graph would not do: it keeps a runtime from fusing what is
    around it, and with that the error goes. folder: for passing files. options: on which device.
    """

    engine: Engine
    source: LoadedModel
    precision: Precision
    folder: Path
    options: BuildOptions = field(default_factory=BuildOptions)

    def model(self) -> ir.Model:
        """A copy of the ONNX."""
        return self.source.graph()

    def subgraph(self, names: Names, *, rounded: bool = True) -> ir.Model:
        """The ONNX that ends in the tensors `names`. rounded: False where no activation is to be rounded."""
        return truncate_graph(self.model() if rounded else bypass_pairs(self.model()), names)

    def reference(self, names: Names, frames: Array, *, rounded: bool = True) -> list[Outputs]:
        """The tensors `names` as the ONNX says; `rounded` as for `subgraph`."""
        return list(plain_outputs(self.subgraph(names, rounded=rounded), frames))

    def open(self, names: Names) -> Backend:
        """An engine that ends in the tensors `names`."""
        artifact = dataclasses.replace(self.source.artifact, path=self.folder / "cut.onnx")
        cut = written_onnx(ir.to_proto(self.subgraph(names)), artifact)
        path = self.folder / f"cut.{self.engine.name}.{self.engine.extension}"
        built = self.engine.build(cut, path, self.precision, options=self.options)
        return self.engine.open(built, RunOptions(self.options.device))

    def deviation(self, names: Names, frames: Array) -> Deviation:
        """How far the tensors `names` are off where the graph ends in them."""
        with self.open(names) as backend:
            got = [kept_outputs(backend, frame) for frame in frames]
        return self.compare(got, self.reference(names, frames), names, frames)

    def compare(self, got: Sequence[Outputs], want: Sequence[Outputs], names: Names, frames: Array) -> Deviation:
        """How far `got` is from `want`, one entry a frame; `names` are those of all the tensors in them."""
        pairs = [([ours[name] for name in names], [exact[name] for name in names]) for ours, exact in zip(got, want)]
        each = np.nan_to_num([relative_rms(*pair) for pair in pairs], nan=np.inf)
        exact = [array for _, arrays in pairs for array in arrays]
        rms, allowed = relative_rms((array for ours, _ in pairs for array in ours), exact), SOURCE_RMS[self.precision]
        if self.precision is Precision.INT8 and rms > allowed:
            smooth = self.reference(names, frames, rounded=False)
            allowed = max(allowed, relative_rms((outputs[name] for outputs in smooth for name in names), exact))
        return Deviation(rms, allowed, int(each.argmax()), all_finite(exact))


def kept_outputs(backend: Backend, frame: Array) -> dict[str, Array]:
    """All outputs on one frame (H, W, 3), to keep."""
    outputs = backend.infer({backend.inputs[0].name: np.ascontiguousarray(frame[None])})
    backend.synchronize()
    return {name: np.array(array) for name, array in outputs.items()}
