"""The latency of one frame, from rgb in memory to a mask in memory, by stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.measure.device import describe_device, package_versions
from edgeseg.measure.diagnostic import Diagnostic, diagnostics_from_run
from edgeseg.measure.load import Load, LoadMeter
from edgeseg.measure.recorder import Summary
from edgeseg.progress import Progress, silent
from edgeseg.segmenter import Segmenter


@dataclass(frozen=True)
class Measurement:
    """The result of `measure_latency`. samples: raw latencies in milliseconds by stage."""

    samples: dict[str, list[float]]
    latency: dict[str, Summary]
    load: Load
    warm_up: int
    threads: int | None
    device: dict[str, Any]
    versions: dict[str, str]
    diagnostics: tuple[Diagnostic, ...]

    @property
    def frames(self) -> int:
        """The number of timed frames."""
        return len(self.samples["total"])

    @property
    def fps(self) -> float:
        """Frames per second, one after the other: the inverse of the mean latency."""
        return 1e3 / self.latency["total"].mean_ms

    @property
    def cpu_ms(self) -> float:
        """CPU time of this process per frame in milliseconds, all threads."""
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
            "diagnostics": [diagnostic.to_dict() for diagnostic in self.diagnostics],
            "device": self.device,
            "versions": self.versions,
            "samples": self.samples,
        }


def measure_latency(
    segmenter: Segmenter,
    frames: Sequence[NDArray[np.uint8]],
    *,
    n: int = 200,
    warm_up: int = 20,
    threads: int | None = None,
    progress: Progress = silent,
) -> Measurement:
    """Segment `frames` in turn, first `warm_up` times without and then `n` times with measurement.

    threads: the number that the segmenter was opened with, for the record.
    """
    for index in range(warm_up):
        segmenter.segment(frames[index % len(frames)])
    segmenter.clear_latency()
    meter = LoadMeter()
    for index in range(n):
        segmenter.segment(frames[index % len(frames)])
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
        diagnostics=tuple(diagnostics_from_run(load, n)),
    )
