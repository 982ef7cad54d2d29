"""Small batches: videos, whole and broken ones, a job over them, and work that is only simulated."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
from small_clips import make_clip
from small_onnx import street_onnx

from edgeseg.batch.job import BatchJob, job_from_artifact
from edgeseg.batch.process_count import ProcessCount
from edgeseg.batch.sources import units_from_sources
from edgeseg.batch.unit import SegmentVideo
from edgeseg.batch.units import Unit

BROKEN = {  # the name of a file that cannot be read, and the error of its row
    "audio.mkv": "ES-SOURCE-FORMAT",
    "damaged.mp4": "ES-SOURCE-UNDECODABLE",
    "empty.mp4": "ES-SOURCE-FORMAT",
    "half.mp4": "ES-SOURCE-FORMAT",
    "text.mp4": "ES-SOURCE-FORMAT",
}


def make_videos(folder: Path, count: int, frames: int = 3) -> Path:
    """drive-000.mp4, drive-001.mp4, ..., each of other colours."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        colors = np.random.default_rng(number).integers(0, 256, (3, 5, 3), np.uint8).repeat(32, 0).repeat(32, 1)
        make_clip(folder / f"drive-{number:03d}.mp4", frames, rgb=lambda index, rgb=colors: np.roll(rgb, index, 1))
    return folder


def make_broken(folder: Path) -> Path:
    """The files of BROKEN."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("this is no video\n" * 50)
    whole = make_clip(folder / "half.mp4").read_bytes()
    (folder / "half.mp4").write_bytes(whole[: len(whole) // 2])  # without its index
    start = whole.index(b"mdat") + 4
    (folder / "damaged.mp4").write_bytes(
        whole[:start] + bytes(whole.index(b"moov") - 4 - start) + whole[whole.index(b"moov") - 4 :]
    )
    with av.open(str(folder / "audio.mkv"), "w") as container:
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        samples.sample_rate, samples.pts = 8000, 0
        container.mux(sound.encode(samples))
    return folder


def small_job(folder: Path, *write: str, **options: Any) -> BatchJob:
    """The job of a small model, with its outputs in `folder`/out."""
    artifact = street_onnx(folder)
    return job_from_artifact(artifact, folder / "out", write or ("masks/",), engine="onnxruntime", threads=1, **options)


def units_in(folder: Path, job: BatchJob) -> list[Unit]:
    """The units below a folder."""
    return units_from_sources([str(folder)], job.digest, Path(job.out))


def label_files(out: Path) -> dict[str, bytes]:
    """The label images of a batch by unit and name, without the digest, which depends on the place of the source."""
    return {
        f"{re.sub('-[0-9a-f]{12}$', '', path.parent.parent.name)}/{path.name}": path.read_bytes()
        for path in out.glob("*/masks/*.png")
    }


def markers(out: Path) -> dict[str, dict[str, Any]]:
    """The rows of the markers, by the name of the source."""
    rows = [json.loads(path.read_text()) for path in out.glob("*.json")]
    return {Path(row["source"]).name: row for row in rows}


class RunnerInProcess:
    """In place of `LocalRunner`, where a test is not of processes: does the units in this one."""

    def __init__(self, options: Mapping[str, Any], *, processes: int | None, most: int, **rest: Any) -> None:
        self.count = ProcessCount(most, processes or 1)
        self._work = SegmentVideo(**options)

    def rows(self, units: Iterable[Unit]) -> Iterator[dict[str, Any]]:
        for unit in units:
            yield self._work(dataclasses.asdict(unit))
