"""The whole line once: convert a bundled model, stream a video through it, measure it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import cv2

from edgeseg.artifact import Artifact
from edgeseg.files import whole_file
from edgeseg.opening import open_model
from edgeseg.pixels.contact import contact_sheet
from edgeseg.progress import Progress, silent
from edgeseg.streaming import StreamReport, stream
from edgeseg.video.frame import Pixels
from edgeseg.video.result import Result
from edgeseg.video.sink import open_sink
from edgeseg.video.source import open_source
from edgeseg.video.truth import TruthSink, truth_sinks

MODEL = "bisenetv2-street"
SOURCE = "test://street?seed=7&size=1024x512&frames=300"
COLUMNS, ROWS, SHEET_WIDTH = 3, 3, 1536


@dataclass(frozen=True)
class Demo:
    """What a demo left behind. video: the overlay. sheet: an image with frames of it. judges: of the labels' truth."""

    artifact: Artifact
    report: StreamReport
    judges: list[TruthSink]
    video: Path
    sheet: Path


class ContactSheet:
    """Keeps a few frames, evenly spread over a stream of unknown length."""

    def __init__(self) -> None:
        self._kept: list[Pixels] = []
        self._every = 1

    def add(self, result: Result) -> None:
        """Keep every so many overlays, thinning out when there are too many."""
        if result.frame.index % self._every == 0 and result.overlay is not None:
            self._kept.append(result.overlay)
        if len(self._kept) == 2 * COLUMNS * ROWS:
            self._kept = self._kept[::2]
            self._every *= 2

    def write(self, path: Path) -> None:
        """Write the sheet as a PNG."""
        sheet = contact_sheet(self._kept[: COLUMNS * ROWS], COLUMNS, SHEET_WIDTH)
        with whole_file(path) as partial:
            cv2.imwrite(str(partial), sheet[:, :, ::-1])


def run_demo(
    source: str = SOURCE,
    model: str = MODEL,
    *,
    out: Path = Path("demo"),
    frames: int | None = None,
    stop: threading.Event | None = None,
    progress: Progress = silent,
) -> Demo:
    """Convert `model`, stream `source` through it, and leave overlay.mp4 and overlay.png in `out`."""
    video, sheet_path, sheet = out / "overlay.mp4", out / "overlay.png", ContactSheet()
    with open_model(model, out=out, progress=progress) as segmenter, open_source(source) as frames_in:
        judges = truth_sinks(frames_in, segmenter.spec.labels)
        with open_sink(video, frames_in.info) as sink:
            sinks = [sink, *judges]
            report = stream(
                frames_in, segmenter, sinks, frames=frames, on_result=sheet.add, stop=stop, progress=progress
            )
        if report.frames:
            sheet.write(sheet_path)
        return Demo(segmenter.artifact, report, judges, video, sheet_path)
