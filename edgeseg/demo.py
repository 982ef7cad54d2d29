"""Convert a bundled model, stream a video through it, and measure it."""

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
from edgeseg.spec import LabelSet
from edgeseg.streaming import StreamReport, stream
from edgeseg.video.frame import Pixels
from edgeseg.video.result import Result
from edgeseg.video.sink import open_sink
from edgeseg.video.source import address_from_uri, open_source
from edgeseg.video.truth import TruthSink, truth_sinks
from edgeseg.weights.bundled import BundledModel, best_bundled_model

SOURCE = "test://street?seed=7&size=1024x512&frames=300"
COLUMNS, ROWS, SHEET_WIDTH = 3, 3, 1536


@dataclass(frozen=True)
class Demo:
    """What a demo wrote and measured. video: the overlay. sheet: a contact sheet of its frames. judges: count mIoU."""

    artifact: Artifact
    report: StreamReport
    judges: list[TruthSink]
    video: Path
    sheet: Path


class ContactSheet:
    """Keeps a few frames, evenly spread over a stream of unknown length."""

    def __init__(self) -> None:
        self._overlays: list[Pixels] = []
        self._every = 1

    def add(self, result: Result) -> None:
        """Keep every n-th overlay; n doubles when there are too many."""
        if result.frame.index % self._every == 0:
            overlay = result.overlay
            if overlay is None:  # of a live source
                overlay = result.prediction.render(result.frame.rgb())
            self._overlays.append(overlay)
        if len(self._overlays) == 2 * COLUMNS * ROWS:
            self._overlays = self._overlays[::2]
            self._every *= 2

    def write(self, path: Path, labels: LabelSet) -> None:
        """Write the sheet, with a legend, as a PNG."""
        sheet = contact_sheet(self._overlays[: COLUMNS * ROWS], COLUMNS, SHEET_WIDTH, labels.colors())
        with whole_file(path) as partial:
            cv2.imwrite(str(partial), sheet[:, :, ::-1])


def demo_model(source: str) -> BundledModel:
    """The best bundled model for `source`: one of synthetic images for the synthetic street, else one of real ones."""
    return best_bundled_model(synthetic=address_from_uri(source).kind == "test")


def run_demo(
    source: str,
    model: str,
    *,
    out: Path = Path("demo"),
    frames: int | None = None,
    stop: threading.Event | None = None,
    progress: Progress = silent,
) -> Demo:
    """Convert `model`, stream `source` through it, and write overlay.mp4 and overlay.png to `out`."""
    video, sheet_path, sheet = out / "overlay.mp4", out / "overlay.png", ContactSheet()
    with open_model(model, out=out, progress=progress) as segmenter, open_source(source) as frames_in:
        judges = truth_sinks(frames_in, segmenter.spec.labels)
        with open_sink(video, frames_in.info, inputs=frames_in.files(), overwrite=True) as sink:
            sinks = [sink, *judges]
            report = stream(
                frames_in, segmenter, sinks, frames=frames, on_result=sheet.add, stop=stop, progress=progress
            )
        if report.frames:
            sheet.write(sheet_path, segmenter.spec.labels)
        return Demo(segmenter.artifact, report, judges, video, sheet_path)
