"""What `edgeseg bench` is asked to measure: in this process, or once more in a fresh one."""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeseg.bench.benchmark import BenchOptions, benchmark
from edgeseg.bench.matrix import run_command
from edgeseg.bench.record import BenchRecord, without_folders
from edgeseg.bench.stages import frames_of_video
from edgeseg.check_images import BenchImages, bench_images
from edgeseg.commands.options import size_or_none
from edgeseg.commands.terminal import note
from edgeseg.datasets import open_dataset
from edgeseg.engines import open_engine
from edgeseg.measure.settling import BATCHES
from edgeseg.uri import without_login

if TYPE_CHECKING:
    from edgeseg.artifact import Artifact
    from edgeseg.progress import Progress
    from edgeseg.segmenter import Segmenter
    from edgeseg.spec import ModelSpec

IMAGES = 8
SECOND_ATTEMPT = "EDGESEG_SECOND_ATTEMPT"  # set in the environment of the second process


@dataclass(frozen=True)
class BenchRequest:
    """The options of a run as they were typed. images, data: URIs. frame_size: of synthetic images, as a text."""

    options: BenchOptions
    device: str
    images: str | None = None
    frame_size: str | None = None
    data: str | None = None

    def timed_images(self, spec: ModelSpec) -> BenchImages:
        """What is timed: `images`, else the first frames of the video, else synthetic images of `frame_size`."""
        video = self.options.video
        if self.images is None and video:
            return BenchImages(tuple(frames_of_video(video, IMAGES)), without_login(video))
        return bench_images(spec, self.images, IMAGES, size_or_none(self.frame_size))

    def measured(self, segmenter: Segmenter, progress: Progress) -> BenchRecord:
        """The record of one attempt, in this process."""
        timed = self.timed_images(segmenter.spec)
        device = open_engine(segmenter.artifact.engine).device_to_build_for(self.device)
        options = dataclasses.replace(self.options, device=device, images=without_folders(timed.source))
        dataset, name = open_dataset(self.data) if self.data else None, without_folders(self.data or "")
        return benchmark(segmenter, list(timed.frames), options, dataset=dataset, data=name, progress=progress)

    def is_repeated(self, first: BenchRecord, artifact: Artifact) -> bool:
        """Whether a fresh process may settle what the `first` attempt did not; not what delays a server."""
        may_settle = (self.options.n is None or self.options.n >= BATCHES) and not artifact.address
        return first.status == "inconclusive" and may_settle and SECOND_ATTEMPT not in os.environ

    def measured_again(self, first: BenchRecord, artifact: Artifact) -> BenchRecord:
        """The record of a second attempt, in a fresh process; the `first` one where that fails."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "record.json"
            code, said = run_command([*self.command(artifact), "-o", str(path)], {SECOND_ATTEMPT: "1"})
            if code:
                reason = said.strip()[-300:] or f"exit code {code}"
                note(f"the second attempt failed, and the first one is kept: {reason}")
                return first
            return dataclasses.replace(BenchRecord.read(path), attempts=2)

    def command(self, artifact: Artifact) -> list[str]:
        """The command that measures the same of `artifact`."""
        options = self.options
        values = {
            "--engine": artifact.engine, "--device": self.device, "--scenario": options.scenario, "-n": options.n,
            "--rate": options.rate, "--streams": options.streams, "--video": options.video,
            "--warm-up": options.warm_up, "--threads": options.threads, "--images": self.images,
            "--frame-size": self.frame_size, "--data": self.data,
        }  # fmt: skip
        words = [word for name, value in values.items() if value not in (None, "") for word in (name, str(value))]
        flags = [f"--{name}" for name in ("file", "loadgen") if getattr(options, name)]
        return [sys.executable, "-m", "edgeseg", "bench", str(artifact.path), *words, *flags]
