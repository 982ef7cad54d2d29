"""How long one frame takes, from rgb in memory to a mask in memory, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.measure.device import describe_device, package_versions
from edgeseg.measure.diagnostic import Diagnostic, caveats_from_run
from edgeseg.measure.load import Load, LoadMeter
from edgeseg.measure.recorder import Summary
from edgeseg.progress import Progress, silent
from edgeseg.segmenter import Segmenter


@dataclass(frozen=True)
class Measurement:
    """What was measured, with every raw sample in milliseconds."""

    samples: dict[str, list[float]]
    latency: dict[str, Summary]
    load: Load
    warm_up: int
    threads: int | None
    device: dict[str, Any]
    versions: dict[str, str]
    caveats: tuple[Diagnostic, ...]

    @property
    def frames(self) -> int:
        """How many frames were timed."""
        return len(self.samples["total"])

    @property
    def fps(self) -> float:
        """Frames a second, one after the other: the inverse of the mean latency."""
        return 1e3 / self.latency["total"].mean_ms

    @property
    def cpu_ms(self) -> float:
        """Own CPU time a frame in milliseconds, all threads."""
        return self.load.cpu_seconds * 1e3 / self.frames

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "frames": self.frames,
            "warm_up": self.warm_up,
            "threads": self.threads or self.device["threads"],
            "fps": self.fps,
            "cpu_ms": self.cpu_ms,
            "foreign_cores": self.load.foreign_cores,
            "latency": {stage: summary.to_dict() for stage, summary in self.latency.items()},
            "caveats": [caveat.to_dict() for caveat in self.caveats],
            "device": self.device,
            "versions": self.versions,
            "samples": self.samples,
        }


def measure_latency(
    segmenter: Segmenter,
    pictures: Sequence[NDArray[np.uint8]],
    *,
    n: int = 200,
    warm_up: int = 20,
    threads: int | None = None,
    progress: Progress = silent,
) -> Measurement:
    """Segment `pictures` in turn, `warm_up` times unmeasured and then `n` times measured.

    threads: what the segmenter was opened with; kept in the record.
    """
    for index in range(warm_up):
        segmenter.segment(pictures[index % len(pictures)])
    segmenter.clear_latency()
    meter = LoadMeter()
    for index in range(n):
        segmenter.segment(pictures[index % len(pictures)])
        progress("bench", index + 1, n)
    load = meter.load()
    return Measurement(
        samples={stage: segmenter.latency_samples(stage) for stage in segmenter.latency()},
        latency=segmenter.latency(),
        load=load,
        warm_up=warm_up,
        threads=threads,
        device=describe_device(),
        versions=package_versions(("edgeseg", "numpy", segmenter.artifact.engine or "onnxruntime")),
        caveats=tuple(caveats_from_run(load, n)),
    )
