"""The one object that turns a picture into a mask; eval, stream, bench, decide and users all call it.

Resize, normalise, infer, upsample and argmax may run in Python, in the graph or on a device: nothing above
`Segmenter` knows. Below it lies a `Backend`.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.artifact import Artifact
from edgeseg.engines import default_engine, open_engine
from edgeseg.engines.backend import Backend
from edgeseg.engines.wish import Done, Wish
from edgeseg.errors import EdgeSegError, SizeError
from edgeseg.measure.recorder import LatencyRecorder, Summary
from edgeseg.pixels.overlay import overlay_labels
from edgeseg.pixels.resize import resize_rgb
from edgeseg.pixels.upsample import labels_from_logits, labels_nearest
from edgeseg.spec import LabelSet, ModelSpec, Output
from edgeseg.video.frame import Frame

Rgb = NDArray[np.uint8]
Size = tuple[int, int]


@dataclass(frozen=True)
class Mask:
    """The labels of one picture.

    labels: (H, W) uint8, ids of `classes`.
    owns_memory: False where `labels` is a buffer that the next result overwrites; copy it to keep it.
    drawn: the picture (H, W, 3) with the classes' colours blended in, where `Segmenter.submit` was given an opacity.
    """

    labels: NDArray[np.uint8]
    classes: LabelSet
    owns_memory: bool = True
    drawn: Rgb | None = None

    @property
    def palette(self) -> NDArray[np.uint8]:
        """(K, 3) uint8 rgb, one colour a class."""
        return np.array(self.classes.palette, np.uint8)

    def overlay(self, rgb: Rgb, *, opacity: float = 0.5) -> Rgb:
        """`rgb` (H, W, 3), of any size, with the classes' colours blended in; a new array."""
        return overlay_labels(rgb, self.labels, self.palette, opacity=opacity)

    def shares(self) -> dict[str, float]:
        """The share of the pixels that each class has, by name."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.classes))
        return {name: float(count) / self.labels.size for name, count in zip(self.classes.names, counts)}


class Segmenter:
    """Segments rgb pictures of any size. Not for two threads at once: open one each."""

    def __init__(self, artifact: Artifact, backend: Backend) -> None:
        self.artifact = artifact
        self._backend = backend
        self._input, self._output = backend.inputs[0].name, backend.outputs[0].name
        self._queue: deque[Mask | Callable[[], Done]] = deque()
        self._recorder = LatencyRecorder(sync=backend.synchronize)

    @property
    def spec(self) -> ModelSpec:
        """What the model is."""
        return self.artifact.spec

    def segment(self, rgb: Rgb, size: Size | None = None) -> Mask:
        """The mask of one picture, (H, W, 3) uint8 of any size.

        size: (height, width) of the mask; the picture's own unless given. From a graph that gives logits each pixel
        is the exact bilinear upsampling's argmax; from one that gives a mask it is its nearest neighbour.
        """
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
            raise SizeError(
                f"a picture is (H, W, 3) uint8, and this is {rgb.shape} {rgb.dtype}", hint="hand over one rgb frame"
            )
        with self._recorder.stage("total"):
            if finish := self._begin(rgb, size, None):
                return Mask(finish().labels, self.spec.labels)
            with self._recorder.stage("resize"):
                frame = resize_rgb(rgb, (self.spec.input.height, self.spec.input.width))
            with self._recorder.stage("infer"):
                result = self._backend.infer({self._input: frame[None]})[self._output]
            with self._recorder.stage("upsample"):
                labels = self._labels(result[0], size or rgb.shape[:2])
        return Mask(labels, self.spec.labels)

    def segment_batch(self, pictures: Sequence[Rgb], size: Size | None = None) -> list[Mask]:
        """The masks of several pictures, in order."""
        return [self.segment(rgb, size) for rgb in pictures]

    @property
    def slots(self) -> int:
        """How many pictures to submit before the first one's result is asked for, so that a device never waits."""
        return max(1, self._backend.slots)

    def submit(self, picture: Rgb | Frame, size: Size | None = None, *, opacity: float | None = None) -> None:
        """Begin with a picture. On a CPU this does the work; on a device it returns at once.

        A frame's planes go to a device as they were decoded. opacity: of the colours of `Mask.drawn`, which is made
        where this is given.
        """
        self._queue.append(self._begin(picture, size, opacity) or self._segmented(picture, size, opacity))

    def result(self) -> Mask:
        """The mask of the oldest picture that was submitted; IndexError where there is none."""
        found = self._queue.popleft()
        if isinstance(found, Mask):
            return found
        done = found()
        self._recorder.add("total", done.milliseconds)
        return Mask(done.labels, self.spec.labels, drawn=done.overlay)

    def discard(self) -> None:
        """Forget the pictures that were submitted and whose result nobody asked for."""
        while self._queue:
            found = self._queue.popleft()
            with contextlib.suppress(EdgeSegError):
                if not isinstance(found, Mask):
                    found()

    def latency(self) -> dict[str, Summary]:
        """Milliseconds by stage since opening or `clear_latency`: "total", and unless all of it happens on a device
        "resize", "infer" and "upsample".
        """
        return self._recorder.summaries()

    def latency_samples(self, stage: str) -> list[float]:
        """The raw samples of a stage in milliseconds, oldest first."""
        return self._recorder.samples(stage)

    def clear_latency(self) -> None:
        """Forget the samples, as after a warm-up."""
        self._recorder.clear()

    def warm_up(self) -> None:
        """Segment one grey picture, so that the first real one does not pay for compilation; leaves no sample."""
        self.segment(np.full((self.spec.input.height, self.spec.input.width, 3), 128, np.uint8))
        self.clear_latency()

    def close(self) -> None:
        """Free the engine; a closed segmenter cannot be used."""
        self._backend.close()

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, picture: Rgb | Frame, size: Size | None, opacity: float | None) -> Callable[[], Done] | None:
        """What waits for a picture that a device has begun with; None where this runs on a CPU."""
        if not self._backend.slots:
            return None
        frame = picture if isinstance(picture, Frame) else Frame.from_rgb(0, 0.0, picture)
        wish = Wish(size or frame.size, self.spec.align_corners, self.spec.labels.palette, opacity)
        return self._backend.begin(frame, wish)

    def _segmented(self, picture: Rgb | Frame, size: Size | None, opacity: float | None) -> Mask:
        """The mask of a picture, made here and now."""
        rgb = picture.rgb() if isinstance(picture, Frame) else picture
        mask = self.segment(rgb, size)
        return mask if opacity is None else replace(mask, drawn=mask.overlay(rgb, opacity=opacity))

    def _labels(self, result: NDArray[Any], size: Size) -> NDArray[np.uint8]:
        if self.artifact.output is Output.LOGITS:
            return labels_from_logits(result, size, align_corners=self.spec.align_corners)
        return np.array(labels_nearest(result, size))


def open_segmenter(path: str | Path, *, engine: str | None = None, threads: int | None = None) -> Segmenter:
    """Open the engine at `path`, verified against its sidecar; or an ONNX that carries a spec.

    engine: the one that opens a plain ONNX, the default one unless given; `Segmenter.artifact` names it then.
    threads: of the engine on a CPU; all cores that this process may use unless given.
    """
    artifact = Artifact.open(path)
    if not artifact.engine:
        artifact = replace(artifact, engine=engine or default_engine(for_onnx=True))
    segmenter = Segmenter(artifact, open_engine(artifact.engine).open(artifact, threads=threads))
    segmenter.warm_up()
    return segmenter
