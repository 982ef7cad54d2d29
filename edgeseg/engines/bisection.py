"""Which layer of an engine is the first that computes something else than its ONNX says."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx_ir as ir

from edgeseg.artifact import LoadedModel, written_onnx
from edgeseg.engines.agreement import SOURCE_RMS, all_finite, relative_rms
from edgeseg.engines.backend import Array, Backend
from edgeseg.engines.engine import Engine
from edgeseg.engines.options import BuildOptions
from edgeseg.engines.plain import plain_outputs
from edgeseg.graph.cut import bypass_pairs, cut_graph, flow_of
from edgeseg.spec import Precision

logger = logging.getLogger(__name__)

# How many times farther off the wrong layer is than what it reads: 7 times and more were seen for a concat on OpenVINO.
# Rounding alone adds about a third from layer to layer.
JUMP = 2.0
SHARES_OF_OUTPUT = (0.75, 1.5, 3.0)

Names = tuple[str, ...]
Outputs = dict[str, Array]  # of one frame


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


@dataclass(frozen=True)
class Cuts:
    """An ONNX that is compared with what an engine makes of it, wherever it is cut.

    folder: for passing files. options: on which device.
    """

    engine: Engine
    source: LoadedModel
    precision: Precision
    folder: Path
    options: BuildOptions = field(default_factory=BuildOptions)

    def model(self) -> ir.Model:
        """A copy of the ONNX."""
        return self.source.graph()

    def plain(self, names: Names, frames: Array, *, rounded: bool = True) -> list[Outputs]:
        """The tensors `names` as the ONNX says. rounded: False for what they are where no activation is rounded."""
        model = self.model() if rounded else bypass_pairs(self.model())
        return list(plain_outputs(cut_graph(model, names), frames))

    def built(self, names: Names, frames: Array) -> list[Outputs]:
        """The tensors `names` as an engine that ends in them computes them."""
        artifact = dataclasses.replace(self.source.artifact, path=self.folder / "cut.onnx")
        cut = written_onnx(ir.to_proto(cut_graph(self.model(), names)), artifact)
        path = self.folder / f"cut.{self.engine.name}.{self.engine.extension}"
        with self.engine.open(self.engine.build(cut, path, self.precision, options=self.options)) as backend:
            return [kept_outputs(backend, frame) for frame in frames]

    def deviation(self, names: Names, frames: Array) -> Deviation:
        """How far the tensors `names` are off where the graph ends in them."""
        return self.compare(self.built(names, frames), self.plain(names, frames), names, frames)

    def compare(self, got: list[Outputs], want: list[Outputs], names: Names, frames: Array) -> Deviation:
        """How far `got` is from `want`, one entry a frame; `names` are those of all the tensors in them."""
        pairs = [([ours[name] for name in names], [exact[name] for name in names]) for ours, exact in zip(got, want)]
        each = np.nan_to_num([relative_rms(*pair) for pair in pairs], nan=np.inf)
        exact = [array for _, arrays in pairs for array in arrays]
        rms, allowed = relative_rms((array for ours, _ in pairs for array in ours), exact), SOURCE_RMS[self.precision]
        if self.precision is Precision.INT8 and rms > allowed:
            smooth = self.plain(names, frames, rounded=False)
            allowed = max(allowed, relative_rms((outputs[name] for outputs in smooth for name in names), exact))
        return Deviation(rms, allowed, int(each.argmax()), all_finite(exact))

    def first_off(self, frame: Array) -> tuple[str, float]:
        """The first tensor that is off on `frame` (1, H, W, 3), where an output is known to be, and its ratio.

        What a wrong layer does grows no smaller, measured by what is allowed, on its way to an output; rounding adds up
        as well, and may pass what is allowed before that layer. So a tensor counts as off where it is about as far off
        as the output, and as found where it is much farther off than what it is computed from.
        """
        ratios: dict[str, float] = {}

        def ratio(name: str) -> float:
            if name not in ratios:
                ratios[name] = self.deviation((name,), frame).ratio
            return ratios[name]

        flow, found = flow_of(self.model()), []
        last = max(flow.ends, key=ratio)
        for share in SHARES_OF_OUTPUT:
            limit = share * ratio(last) if np.isfinite(ratio(last)) else 1.0
            found.append(first_off(flow.parents, last, lambda name: ratio(name) > limit))  # noqa: B023 - called at once
            if ratio(found[-1]) > JUMP * max(map(ratio, flow.parents[found[-1]]), default=0.0):
                return found[-1], ratio(found[-1])
        return found[0], ratio(found[0])

    def first_not_finite(self, frame: Array) -> str:
        """The first tensor that holds NaN or infinity as the ONNX is written, where an output is known to."""
        flow = flow_of(self.model())

        def is_off(name: str) -> bool:
            return not all_finite(self.plain((name,), frame)[0].values())

        return first_off(flow.parents, next(filter(is_off, flow.ends)), is_off)


def kept_outputs(backend: Backend, frame: Array) -> Outputs:
    """All outputs on one frame (H, W, 3), to keep."""
    outputs = backend.infer({backend.inputs[0].name: np.ascontiguousarray(frame[None])})
    backend.synchronize()
    return {name: np.array(array) for name, array in outputs.items()}


def first_off(parents: Mapping[str, tuple[str, ...]], last: str, is_off: Callable[[str], bool]) -> str:
    """The tensor that is off while all it is computed from is right, where `last` is known to be off.

    parents: tensor -> those that it is computed from, in the graph's order. What comes before a right tensor counts as
    right. As few as can be are asked: each time the one that rules out most whatever the answer, as git bisect does.
    """
    before: dict[str, set[str]] = {}
    for name, sources in parents.items():
        before[name] = set(sources).union(*(before[source] for source in sources))
    found, suspects = last, before[last]
    while suspects:
        left = {name: len(before[name] & suspects) for name in before if name in suspects}
        tried = min(left, key=lambda name: max(left[name], len(suspects) - left[name] - 1))
        off = is_off(tried)
        logger.info("bisection: %s is %s (one of %d tensors)", tried, "off" if off else "right", len(suspects))
        found = tried if off else found
        suspects = suspects & before[tried] if off else suspects - before[tried] - {tried}
    return found
