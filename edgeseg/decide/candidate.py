"""One way to build the engine, and what was measured of it on this target."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.artifact import Artifact
from edgeseg.calib.half import fp16_from_ranges
from edgeseg.calib.quantize import int8_from_ranges
from edgeseg.calib.range import RangeTable
from edgeseg.decide.blocks import Block
from edgeseg.decide.budget import Cost
from edgeseg.decide.estimate import Estimate
from edgeseg.decide.judge import Scores
from edgeseg.decide.race import Lap
from edgeseg.engines.backend import Array
from edgeseg.engines.build import engine_from_onnx
from edgeseg.engines.options import BuildOptions
from edgeseg.spec import Precision


@dataclass(frozen=True, eq=False)
class Candidate:
    """An engine and its figures.

    blocks: those that stay float, of an int8 engine. ratio: its latency to that of the float engine.
    problem: why it is out of the race though it was never measured; "" else.
    """

    name: str
    precision: Precision
    blocks: tuple[Block, ...] = ()
    engine: Artifact | None = None
    scores: Scores | None = None
    cost: Cost | None = None
    lap: Lap | None = None
    ratio: Estimate | None = None
    problem: str = ""

    @property
    def float_layers(self) -> int:
        """How many layers stay float that int8 would reach."""
        return sum(len(block.layers) for block in self.blocks)

    @property
    def is_within(self) -> bool:
        """Whether its accuracy is surely within the budget."""
        return self.cost is not None and self.cost.is_within

    @property
    def is_faster(self) -> bool:
        """Whether it is surely faster than the float engine."""
        return self.ratio is not None and self.ratio.high < 1

    @property
    def p50_ms(self) -> float:
        """Median latency; infinite where nothing was timed."""
        return float("inf") if self.lap is None else self.lap.latency.p50_ms

    def to_dict(self) -> dict[str, Any]:
        """Plain data: figures, and what stays float."""
        found: dict[str, Any] = {"name": self.name, "precision": str(self.precision), "problem": self.problem}
        found["float_blocks"] = [block.name for block in self.blocks]
        found["float_layers"] = [layer for block in self.blocks for layer in block.layers]
        if self.scores is not None and self.cost is not None:
            found |= {"miou": self.scores.miou, "agreement": self.scores.same_labels().to_dict()}
            found |= {"loss": self.cost.loss.to_dict(), "within_budget": self.is_within}
        if self.lap is not None:
            found |= {"latency": self.lap.latency.to_dict(), "cpu_ms": self.lap.cpu_ms}
        if self.ratio is not None:
            found["latency_ratio"] = self.ratio.to_dict()
        return found


@dataclass(frozen=True)
class Maker:
    """Builds candidates of one float ONNX for one engine, each in a folder of its own below `folder`.

    frames: (N, H, W, 3) uint8, a few, on which each build is held against the float ONNX, on `device`.
    """

    onnx: Artifact
    table: RangeTable | None
    engine: str
    folder: Path
    frames: Array
    device: str = "auto"

    def build(self, precision: Precision, blocks: Sequence[Block] = (), *, checked: bool = True) -> Artifact:
        """The engine, with the layers of `blocks` float where it is int8. As `engine_from_onnx` where it fails.

        checked: hold its labels against the float model's; what is merely weighed need not pass.
        """
        source = self.source(precision, blocks)
        frames = self.frames if checked else None
        out = Path(tempfile.mkdtemp(prefix="engine-", dir=self.folder))
        name = self.onnx.path.stem
        return engine_from_onnx(
            source.path,
            self.engine,
            precision=precision,
            out_dir=out,
            name=name,
            reference=self.onnx.path,
            frames=frames,
            options=BuildOptions(device=self.device),
        )

    def source(self, precision: Precision, blocks: Sequence[Block]) -> Artifact:
        """The ONNX of the types that an engine of `precision` computes in."""
        if precision is Precision.FP16:
            return fp16_from_ranges(self.onnx.path, self.table, out=self.folder / f"{self.onnx.path.stem}.fp16.onnx")
        return self.quantised(blocks) if precision is Precision.INT8 else self.onnx

    def quantised(self, blocks: Sequence[Block]) -> Artifact:
        """The int8 ONNX for the engine."""
        assert self.table is not None  # int8 is tried with ranges only
        layers = frozenset(layer for block in blocks for layer in block.layers)
        out = self.folder / f"{self.onnx.path.stem}.int8.onnx"
        return int8_from_ranges(self.onnx.path, self.table, target=self.engine, out=out, float_nodes=layers)
