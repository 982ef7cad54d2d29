"""The one object that turns an image into a prediction; eval, stream, bench, autotune and users all call it.

Resize, normalise, infer, upsample and argmax may run in Python, in the graph or on a device: nothing above
`Segmenter` knows. Below it lies a `Backend`, and a `Decoder` reads what that gives.
"""

from __future__ import annotations

import dataclasses
import logging
import operator
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.artifact import Artifact
from edgeseg.engines import default_engine, open_engine
from edgeseg.engines.backend import Backend
from edgeseg.engines.options import RunOptions
from edgeseg.engines.request import InferenceFuture, InferenceRequest, OverlayStyle
from edgeseg.errors import SizeError
from edgeseg.image import ImageLike, rgb_from_image
from edgeseg.measure.recorder import LatencyRecorder, Summary
from edgeseg.pixels.resize import resize_rgb
from edgeseg.predictions.decoder import Decoder, SemanticDecoder, decoder_for
from edgeseg.predictions.prediction import Prediction
from edgeseg.predictions.semantic import SemanticMask, semantic_mask
from edgeseg.spec import ModelSpec, size_from_text
from edgeseg.video.frame import Frame

logger = logging.getLogger(__name__)

Rgb = NDArray[np.uint8]
Size = tuple[int, int]


class PredictionFuture:
    """A prediction that may still be computed. `result` waits for it, and gives the same object each time.

    After `result`: `milliseconds` by stage, and `overlay` (H, W, 3) where a device drew one.
    """

    def __init__(self, finish: Callable[[PredictionFuture], Prediction]) -> None:
        self._finish = finish
        self._prediction: Prediction | None = None
        self.milliseconds: Mapping[str, float] = {}
        self.overlay: Rgb | None = None

    def result(self) -> Prediction:
        """The prediction."""
        if self._prediction is None:
            self._prediction = self._finish(self)
        return self._prediction


class Segmenter:
    """Segments images of any size. Threads may share one: their images are computed one after another.

    decoder: reads the engine's outputs; that of the model's task unless given.
    """

    def __init__(self, artifact: Artifact, backend: Backend, decoder: Decoder | None = None) -> None:
        self.artifact = artifact
        self._backend, self._lock = backend, threading.RLock()
        self._decoder = decoder or decoder_for(artifact.spec, artifact.output)
        self._fused = backend.fused(self._decoder)
        self._input = backend.inputs[0].name
        self._fewest, self._batch = batch_of(artifact, backend)
        self._recorder = LatencyRecorder(sync=backend.synchronize)

    @property
    def spec(self) -> ModelSpec:
        """What the model is."""
        return self.artifact.spec

    @property
    def slots(self) -> int:
        """How many images to submit before the first one's result is asked for, so that a device never waits."""
        return self._fused.slots if self._fused else 1

    def segment(self, image: ImageLike, size: Size | str | None = None) -> SemanticMask:
        """The mask of one image: an (H, W, 3) uint8 rgb array of any size, a PIL image, or the path of a file.

        size: (height, width) of the mask, or "WIDTHxHEIGHT"; the image's own unless given. From a graph that gives
        logits each pixel is the exact bilinear upsampling's argmax; from one that gives a mask it is its nearest
        neighbour. SizeError or DataError for what is not an image; MismatchError where the model's task is another one.
        """
        return semantic_mask(self.predict(image, size))

    def predict(self, image: ImageLike, size: Size | str | None = None) -> Prediction:
        """The prediction of one image, of the kind that the model's task has; else as `segment`."""
        return self.submit(image, size).result()

    def segment_batch(self, images: Sequence[ImageLike], size: Size | str | None = None) -> list[Prediction]:
        """The predictions of several images, in order: in batches where the engine takes more than one at once."""
        if self._batch == 1:
            return [self.predict(image, size) for image in images]
        rgbs = [rgb_from_image(image) for image in images]
        starts = range(0, len(rgbs), self._batch)
        return [each for start in starts for each in self._predict_batch(rgbs[start : start + self._batch], size)]

    def submit(
        self, image: ImageLike | Frame, size: Size | str | None = None, *, overlay_opacity: float | None = None
    ) -> PredictionFuture:
        """Begin with an image. On a CPU this does the work; on a device it returns at once.

        A frame's planes go to a device as they were decoded. overlay_opacity: the device also draws the overlay, which
        is then in `PredictionFuture.overlay`; a CPU leaves that to `Prediction.render`.
        """
        frame = image if isinstance(image, Frame) else Frame.from_rgb(0, 0.0, rgb_from_image(image))
        wanted = checked_size(size) if size is not None else frame.size
        if self._fused is not None and isinstance(self._decoder, SemanticDecoder):
            style = None if overlay_opacity is None else OverlayStyle(self.spec.labels.palette, overlay_opacity)
            with self._lock:
                begun = self._fused.begin(frame, InferenceRequest(wanted, self.spec.align_corners), style)
            return PredictionFuture(partial(self._collect, begun, self._decoder))
        future = PredictionFuture(partial(self._compute, frame.rgb(), wanted))
        future.result()
        return future

    def latency(self) -> dict[str, Summary]:
        """Milliseconds by stage since opening or `clear_latency`: "total", and unless all of it happens on a device
        "resize", "infer" and "upsample".
        """
        with self._lock:
            return self._recorder.summaries()

    def latency_samples(self, stage: str) -> list[float]:
        """The raw samples of a stage in milliseconds, oldest first."""
        with self._lock:
            return self._recorder.samples(stage)

    def clear_latency(self) -> None:
        """Forget the samples, as after a warm-up."""
        with self._lock:
            self._recorder.clear()

    def warm_up(self) -> None:
        """Segment one grey image, so that the first real one does not pay for compilation; leaves no sample."""
        self.predict(np.full((self.spec.input.height, self.spec.input.width, 3), 128, np.uint8))
        self.clear_latency()

    def close(self) -> None:
        """Free the engine; a closed segmenter cannot be used."""
        with self._lock:
            self._backend.close()

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _compute(self, rgb: Rgb, size: Size, future: PredictionFuture) -> Prediction:
        """Resize, infer and decode here and now."""
        with self._lock:  # the outputs belong to the backend until its next call
            began = self._recorder.now()
            frame = resize_rgb(rgb, (self.spec.input.height, self.spec.input.width))
            resized = self._recorder.now()
            outputs = self._infer([frame])
            inferred = self._recorder.now()
            first = {name: array[0] for name, array in outputs.items()}
            prediction = self._decoder.prediction_from_outputs(first, size)
            ended = self._recorder.now()
            steps = {"total": (began, ended), "resize": (began, resized), "infer": (resized, inferred)}
            steps["upsample"] = (inferred, ended)
            self._record(future, {stage: (end - start) * 1e3 for stage, (start, end) in steps.items()})
        return prediction

    def _infer(self, frames: list[Rgb]) -> Mapping[str, NDArray[Any]]:
        """The outputs for frames of the input's size; an engine that takes no fewer gets the last one again."""
        frames = frames + frames[-1:] * (self._fewest - len(frames))
        return self._backend.infer({self._input: frames[0][None] if len(frames) == 1 else np.stack(frames)})

    def _collect(self, begun: InferenceFuture, decoder: SemanticDecoder, future: PredictionFuture) -> Prediction:
        """Wait for what a device has begun."""
        result = begun.result()  # without the lock: other threads may begin images meanwhile
        with self._lock:
            self._record(future, {"total": result.milliseconds})
        future.overlay = result.overlay
        return decoder.prediction_from_labels(result.labels)

    def _record(self, future: PredictionFuture, milliseconds: Mapping[str, float]) -> None:
        future.milliseconds = milliseconds
        for stage, value in milliseconds.items():
            self._recorder.add(stage, value)

    def _predict_batch(self, rgbs: Sequence[Rgb], size: Size | str | None) -> list[Prediction]:
        """The predictions of as many images as one call takes."""
        side = (self.spec.input.height, self.spec.input.width)
        sizes = [checked_size(size) if size is not None else (rgb.shape[0], rgb.shape[1]) for rgb in rgbs]
        frames = [resize_rgb(rgb, side) for rgb in rgbs]
        with self._lock:
            outputs = self._infer(frames)
            self._backend.synchronize()
            return [
                self._decoder.prediction_from_outputs({name: array[n] for name, array in outputs.items()}, each)
                for n, each in enumerate(sizes)
            ]


def batch_of(artifact: Artifact, backend: Backend) -> tuple[int, int]:
    """The fewest and the most images that the engine takes at once: as it was built, or as its input's shape says."""
    fixed = backend.inputs[0].shape[0]
    return (fixed, fixed) if fixed > 0 else artifact.build.batch


def checked_size(size: Any) -> Size:
    """(H, W) of a pair of whole numbers, or of "WIDTHxHEIGHT". SizeError for anything else."""
    if isinstance(size, str):
        width, height = size_from_text(size)
        return height, width
    try:
        height, width = (operator.index(side) for side in size)
    except (TypeError, ValueError):
        height = width = 0
    if height < 1 or width < 1:
        raise SizeError(f"not the size of a mask: {size!r}", hint='pass (height, width), or "WIDTHxHEIGHT"')
    return height, width


def open_segmenter(
    path: str | Path, *, engine: str | None = None, device: str = "auto", threads: int | None = None
) -> Segmenter:
    """Open the engine at `path`, verified against its sidecar; or an ONNX that carries a spec.

    engine: the one that opens a plain ONNX, the default one unless given; `Segmenter.artifact` names it then.
    device: one that the engine lists here (edgeseg doctor); "auto" is the first of them. UnavailableError for one that
    is not here. threads: of the engine on a CPU; all cores that this process may use unless given.
    """
    artifact = Artifact.open(path)
    if not artifact.engine:
        artifact = dataclasses.replace(artifact, engine=engine or default_engine(for_onnx=True, device=device))
    chosen = open_engine(artifact.engine)
    backend = chosen.open(artifact, RunOptions(device, threads))
    with chosen.named_failures(artifact.path):
        segmenter = Segmenter(artifact, backend)
        began = time.perf_counter()
        segmenter.warm_up()
    seconds = time.perf_counter() - began
    logger.info("%s, %s, device %s: first image after %.2f s", backend.name, artifact.precision, device, seconds)
    return segmenter
