"""One way to build the engine, and what was measured of it on this target."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeseg.artifact import Artifact, LoadedModel
from edgeseg.autotune.benchmark import TimingRun
from edgeseg.autotune.blocks import Block
from edgeseg.autotune.budget import Cost
from edgeseg.autotune.estimate import Estimate
from edgeseg.autotune.judge import Scores
from edgeseg.calib.precision import onnx_of_precision
from edgeseg.calib.range import RangeTable
from edgeseg.engines.agreement import CheckImages
from edgeseg.engines.build import engine_from_onnx
from edgeseg.engines.engine import Engine
from edgeseg.engines.options import BuildOptions
from edgeseg.progress import Progress, silent
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
    lap: TimingRun | None = None
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
class CandidateBuilder:
    """Builds candidates of one float ONNX for one engine, each in a folder of its own below `folder`.

    images: on which each build is held against the float ONNX. options: of the engine's builder.
    force: take an int8 engine whose labels agree less than they must.
    """

    onnx: LoadedModel
    table: RangeTable | None
    engine: Engine
    folder: Path
    images: CheckImages
    options: BuildOptions = field(default_factory=BuildOptions)
    force: bool = False
    progress: Progress = silent

    def build(self, precision: Precision, blocks: Sequence[Block] = (), *, checked: bool = True) -> Artifact:
        """The engine, with the layers of `blocks` float where it is int8. As `engine_from_onnx` where it fails.

        checked: hold its labels against the float model's; what is merely weighed need not pass. The ONNX that a plan
        was compiled from lies beside it; engines with the same Q/DQ placement share its name, but not that of a mix.
        """
        name, kind, out = (
            self.onnx.path.stem,
            name_of(precision, blocks),
            Path(tempfile.mkdtemp(prefix="engine-", dir=self.folder)),
        )
        source = onnx_of_precision(
            precision,
            self.onnx,
            self.table,
            target=self.engine.name,
            out=out / (f"{name}.{self.engine.name}.{kind}.onnx" if blocks else f"{name}.{kind}.onnx"),
            float_nodes=frozenset(layer for block in blocks for layer in block.layers),
        )
        return engine_from_onnx(
            source,
            self.engine,
            precision=precision,
            out_dir=out,
            name=name,
            reference=self.onnx,
            frames=self.images if checked else None,
            force=self.force,
            options=self.options,
            progress=self.progress,
        )


def name_of(precision: Precision, blocks: Sequence[Block]) -> str:
    """ "int8-mixed" where blocks stay float, else the precision."""
    return f"{precision}-mixed" if blocks else str(precision)
