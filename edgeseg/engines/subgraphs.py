"""How far an engine deviates from its ONNX, which ONNX Runtime computes node by node without optimisation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from edgeseg.artifact import LoadedModel, written_onnx
from edgeseg.engines import open_engine
from edgeseg.engines.agreement import SOURCE_RMS, all_finite, relative_rms
from edgeseg.engines.backend import Array, Backend
from edgeseg.engines.engine import Engine
from edgeseg.engines.options import BuildOptions, RunOptions
from edgeseg.errors import UnavailableError
from edgeseg.graph.truncate import bypass_pairs, truncate_graph
from edgeseg.sessions import open_session
from edgeseg.spec import Precision

Names = tuple[str, ...]
Outputs = Mapping[str, Array]  # of one frame


@dataclass(frozen=True)
class Deviation:
    """How far an engine deviates from its ONNX.

    rms: relative; nan if a value is not finite. allowed: the largest that is accepted. frame: the index of the frame
    with the largest. finite: whether the ONNX itself gives finite numbers.
    """

    rms: float
    allowed: float
    frame: int
    finite: bool

    @property
    def ratio(self) -> float:
        """The deviation divided by the allowed one; infinite if a value is not finite."""
        return float("inf") if np.isnan(self.rms) else self.rms / self.allowed

    def __bool__(self) -> bool:
        """Whether it is allowed. Polygraphy's comparator tests its results this way."""
        return self.ratio <= 1.0


@dataclass(frozen=True)
class SubgraphComparator:
    """Compares an engine with its ONNX in any tensors, by building the part of the graph that ends in them.

    Marking a tensor as another output of the whole graph does not work: the runtime then fuses less around it, and the
    error may disappear. folder: for temporary files. options: the device.
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
        """The ONNX that ends in the tensors `names`. rounded: False to leave out the rounding of activations."""
        return truncate_graph(self.model() if rounded else bypass_pairs(self.model()), names)

    def reference(self, names: Names, frames: Array, *, rounded: bool = True) -> list[Outputs]:
        """The tensors `names` as the ONNX computes them; rounded: as in `subgraph`."""
        return list(reference_outputs(self.subgraph(names, rounded=rounded), frames))

    def open(self, names: Names) -> Backend:
        """Build and open an engine that ends in the tensors `names`."""
        artifact = dataclasses.replace(self.source.artifact, path=self.folder / "cut.onnx")
        cut = written_onnx(ir.to_proto(self.subgraph(names)), artifact)
        path = self.folder / f"cut.{self.engine.name}.{self.engine.extension}"
        built = self.engine.build(cut, path, self.precision, options=self.options)
        return self.engine.open(built, RunOptions(self.options.device))

    def deviation(self, names: Names, frames: Array) -> Deviation:
        """How far the tensors `names` deviate if the graph ends in them."""
        with self.open(names) as backend:
            got = [copied_outputs(backend, frame) for frame in frames]
        return self.compare(got, self.reference(names, frames), names, frames)

    def compare(self, got: Sequence[Outputs], want: Sequence[Outputs], names: Names, frames: Array) -> Deviation:
        """How far `got` deviates from `want`, one entry per frame; names: of all tensors in them."""
        pairs = [([ours[name] for name in names], [exact[name] for name in names]) for ours, exact in zip(got, want)]
        each = np.nan_to_num([relative_rms(*pair) for pair in pairs], nan=np.inf)
        exact = [array for _, arrays in pairs for array in arrays]
        rms, allowed = relative_rms((array for ours, _ in pairs for array in ours), exact), SOURCE_RMS[self.precision]
        if self.precision is Precision.INT8 and rms > allowed:
            smooth = self.reference(names, frames, rounded=False)
            allowed = max(allowed, relative_rms((outputs[name] for outputs in smooth for name in names), exact))
        return Deviation(rms, allowed, int(each.argmax()), all_finite(exact))


def copied_outputs(backend: Backend, frame: Array) -> dict[str, Array]:
    """Copies of all outputs for one frame (H, W, 3)."""
    outputs = backend.infer({backend.inputs[0].name: np.ascontiguousarray(frame[None])})
    backend.synchronize()
    return {name: np.array(array) for name, array in outputs.items()}


def reference_is_available() -> bool:
    """Whether ONNX Runtime is installed, which alone computes an ONNX without optimisation."""
    try:
        open_engine("onnxruntime").available()
    except UnavailableError:
        return False
    return True


def reference_session(model: ir.Model) -> Any:
    """A session of ONNX Runtime that computes `model` node by node, with every optimisation off."""
    return open_session(ir.to_proto(model).SerializeToString(), "none")


def reference_outputs(model: ir.Model, frames: Array) -> Iterator[dict[str, Array]]:
    """Output name -> array, for each of `frames` (N, H, W, 3) uint8."""
    session = reference_session(model)
    feed, names = session.get_inputs()[0].name, [output.name for output in session.get_outputs()]
    for frame in frames:
        yield dict(zip(names, session.run(names, {feed: frame[None]})))
