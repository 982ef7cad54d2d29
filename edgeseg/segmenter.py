"""From an image to a prediction; eval, stream, bench, autotune and users all call `Segmenter`.

Resize, normalise, infer, upsample and argmax may run in Python, in the graph or on a device; callers do not see the
difference. A `Backend` runs the engine, and a `Decoder` interprets its outputs.
"""

from __future__ import annotations

import contextlib
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
from edgeseg.engines.triton.address import is_address
from edgeseg.engines.triton.remote import open_remote
from edgeseg.errors import MismatchError, SizeError
from edgeseg.image import ImageLike, rgb_from_image
from edgeseg.measure.recorder import LatencyRecorder, Summary
from edgeseg.predictions.crf import CrfDecoder, DenseCrf, crf_decoder
from edgeseg.predictions.decoder import Decoder, SemanticDecoder, decoder_for
from edgeseg.predictions.prediction import Prediction
from edgeseg.predictions.semantic import SemanticMask, semantic_mask
from edgeseg.predictions.tiled import TiledDecoder, tiled_decoder
from edgeseg.spec import ModelSpec, Tiles, size_from_text, tiles_named
from edgeseg.video.frame import Frame

logger = logging.getLogger(__name__)

Rgb = NDArray[np.uint8]
Size = tuple[int, int]


class PredictionFuture:
    """A prediction that may still be in progress. `result` waits for it, and always returns the same object.

    After `result`: `milliseconds` by stage, and `overlay` (H, W, 3) if a device drew one.
    """

    def __init__(self, finish: Callable[[PredictionFuture], Prediction]) -> None:
        self._finish = finish
        self._prediction: Prediction | None = None
        self.milliseconds: Mapping[str, float] = {}
        self.overlay: Rgb | None = None

    @classmethod
    def of(cls, prediction: Prediction, milliseconds: Mapping[str, float]) -> PredictionFuture:
        """The future of a prediction that is ready."""
        future = cls(lambda _: prediction)
        future.milliseconds = milliseconds
        return future

    def result(self) -> Prediction:
        """The prediction."""
        if self._prediction is None:
            self._prediction = self._finish(self)
        return self._prediction


class Segmenter:
    """Segments images of any size. Threads may share it; their images are processed one after another.

    decoder: interprets the outputs of the engine; None for that of the model's task. tiles: how images larger than the
    input are cut, as for `open_segmenter`; the pixels of tiles are cut and stitched on the CPU. crf: refines the
    labels, as for `open_segmenter`.
    """

    def __init__(
        self,
        artifact: Artifact,
        backend: Backend,
        decoder: Decoder | None = None,
        *,
        tiles: Tiles | str | None = None,
        crf: DenseCrf | str | None = None,
    ) -> None:
        self.artifact = artifact
        self._backend, self._lock = backend, threading.RLock()
        self._decoder = decoder or decoder_for(artifact.spec, artifact.output)
        self._input = backend.inputs[0].name
        self._min_batch, self._batch = batch_of(artifact, backend)
        self.tiles = tiles_named(tiles, artifact.spec.input.tiles)
        self._tiled = tiled_decoder(self._decoder, self.tiles, self._infer, batch=self._batch) if self.tiles else None
        self._crf = self._crf_decoder(crf) if crf is not None else None
        self._fused = None if self._tiled or self._crf else backend.fused(self._decoder)
        self._recorder = LatencyRecorder(sync=backend.synchronize)

    @property
    def spec(self) -> ModelSpec:
        """The spec of the model."""
        return self.artifact.spec

    @property
    def slots(self) -> int:
        """How many images to submit before the first result is requested, so that a device never waits."""
        return self._fused.slots if self._fused else 1

    @property
    def batch(self) -> int:
        """The most images that the engine computes at once."""
        return self._batch

    @property
    def crf_text(self) -> str:
        """The options of the CRF that refines the labels; "" without one."""
        return str(self._crf.crf) if self._crf else ""

    @property
    def tiles_text(self) -> str:
        """How larger images are cut into tiles, in one line; "" if they are resized."""
        return self._tiled.text() if self._tiled else ""

    def tile_count(self, size: Size) -> int:
        """How many tiles an image of `size` (H, W) is cut into; 1 if it is resized."""
        return self._tiled.tiling.count(size) if self._tiled and self._tiled.is_for(size) else 1

    def segment(self, image: ImageLike, size: Size | str | None = None) -> SemanticMask:
        """The mask of one image: an (H, W, 3) uint8 rgb array of any size, a PIL image, or the path of a file.

        size: (height, width) of the mask, or "WIDTHxHEIGHT"; None for that of the image. Logits are upsampled by exact
        bilinear interpolation before the argmax, masks by nearest neighbour. An image in tiles is labelled at its own
        size first. SizeError or DataError for an invalid image; MismatchError for a model of another task.
        """
        return semantic_mask(self.predict(image, size))

    def predict(self, image: ImageLike, size: Size | str | None = None) -> Prediction:
        """The prediction of one image, of the type of the model's task; arguments as for `segment`."""
        return self.submit(image, size).result()

    def segment_batch(self, images: Sequence[ImageLike | Frame], size: Size | str | None = None) -> list[Prediction]:
        """The predictions of several images, in order; in batches if the engine supports them.

        With tiles, a batch is of tiles of one image.
        """
        if self._batch == 1 or self._tiled or self._crf:
            return [self.submit(image, size).result() for image in images]
        frames = [_frame_of(image) for image in images]
        starts = range(0, len(frames), self._batch)
        return [each for start in starts for each in self._predict_batch(frames[start : start + self._batch], size)]

    def submit(
        self, image: ImageLike | Frame, size: Size | str | None = None, *, overlay_opacity: float | None = None
    ) -> PredictionFuture:
        """Start an image. On a CPU this computes the prediction; on a device it returns at once.

        A device gets the decoded planes of a frame. overlay_opacity: the device also draws the overlay, as
        `PredictionFuture.overlay`; on a CPU, `Prediction.render` draws it.
        """
        frame = _frame_of(image)
        mask_size = checked_size(size) if size is not None else frame.size
        if self._fused is not None and isinstance(self._decoder, SemanticDecoder):
            style = None if overlay_opacity is None else OverlayStyle(self.spec.labels.palette, overlay_opacity)
            with self._lock:
                pending = self._fused.begin(frame, InferenceRequest(mask_size, self.spec.align_corners), style)
            return PredictionFuture(partial(self._collect, pending, self._decoder))
        compute = self._compute
        if self._tiled and self._tiled.is_for(frame.size):
            compute = partial(self._compute_tiles, self._tiled)
        future = PredictionFuture(partial(compute, frame, mask_size))
        future.result()
        return future

    def run_engine(self, rgb: Rgb) -> None:
        """Run the engine alone, to time it: on an (H, W, 3) uint8 image of the input's size; its outputs are dropped.

        SizeError for another size. No sample is recorded.
        """
        with self._lock:
            self._infer([rgb])
            self._backend.synchronize()

    def latency(self) -> dict[str, Summary]:
        """Milliseconds by stage since opening or `clear_latency`: "total", and unless a device does everything
        "resize", "infer" and "upsample"; "crf" with one.
        """
        with self._lock:
            return self._recorder.summaries()

    def latency_samples(self, stage: str) -> list[float]:
        """The raw samples of a stage in milliseconds, oldest first."""
        with self._lock:
            return self._recorder.samples(stage)

    def clear_latency(self) -> None:
        """Discard the samples, for example after a warm-up."""
        with self._lock:
            self._recorder.clear()

    def warm_up(self) -> None:
        """Segment one grey image, so that compilation does not slow down the first real one; records no sample."""
        self.predict(np.full((self.spec.input.height, self.spec.input.width, 3), 128, np.uint8))
        self.clear_latency()

    def close(self) -> None:
        """Free the engine. A closed segmenter cannot be used."""
        with self._lock:
            self._backend.close()

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _compute(self, frame: Frame, size: Size, future: PredictionFuture) -> Prediction:
        """Resize, infer and decode in this thread."""
        with self._lock:  # the outputs belong to the backend until its next call
            began = self._recorder.now()
            rgb = frame.resized((self.spec.input.height, self.spec.input.width))
            resized = self._recorder.now()
            outputs = self._infer([rgb])
            inferred = self._recorder.now()
            first = {name: array[0] for name, array in outputs.items()}
            steps = {"resize": (began, resized), "infer": (resized, inferred)}
            if self._crf is None:
                prediction = self._decoder.prediction_from_outputs(first, size)
                upsampled = ended = self._recorder.now()
            else:
                logits = self._crf.logits(first, size)
                upsampled = self._recorder.now()
                prediction = self._crf.prediction(logits, frame.rgb())
                ended = self._recorder.now()
                steps["crf"] = (upsampled, ended)
            steps = {"total": (began, ended), **steps, "upsample": (inferred, upsampled)}
            self._record(future, {stage: (end - start) * 1e3 for stage, (start, end) in steps.items()})
        return prediction

    def _compute_tiles(self, tiled: TiledDecoder, frame: Frame, size: Size, future: PredictionFuture) -> Prediction:
        """Infer the tiles of a frame and stitch their outputs, in this thread."""
        inferred = 0.0

        def infer(tiles: list[Rgb]) -> Mapping[str, NDArray[Any]]:
            nonlocal inferred
            start = self._recorder.now()
            outputs = self._infer(tiles)
            self._backend.synchronize()
            inferred += self._recorder.now() - start
            return outputs

        with self._lock:
            began = self._recorder.now()
            rgb = frame.rgb()
            converted = self._recorder.now()
            prediction = tiled.prediction(rgb, size, infer)
            ended = self._recorder.now()
            seconds = {"total": ended - began, "resize": converted - began, "infer": inferred}
            seconds["upsample"] = ended - converted - inferred
            self._record(future, {stage: each * 1e3 for stage, each in seconds.items()})
        return prediction

    def _crf_decoder(self, crf: DenseCrf | str) -> CrfDecoder:
        """The decoder with `crf`. MismatchError where frames are cut into tiles."""
        if self._tiled:
            raise MismatchError(
                "a CRF takes the logits of a whole frame, and frames are cut into tiles",
                hint='add --tiles off, or tiles="off"; or leave --crf out',
                code="ES-CRF",
            )
        return crf_decoder(self._decoder, crf)

    def _infer(self, rgbs: list[Rgb]) -> Mapping[str, NDArray[Any]]:
        """The outputs for images of the input size; the last one is repeated up to the minimum batch."""
        rgbs = rgbs + rgbs[-1:] * (self._min_batch - len(rgbs))
        return self._backend.infer({self._input: rgbs[0][None] if len(rgbs) == 1 else np.stack(rgbs)})

    def _collect(self, pending: InferenceFuture, decoder: SemanticDecoder, future: PredictionFuture) -> Prediction:
        """Wait for the result of a device."""
        result = pending.result()  # without the lock: other threads may begin images meanwhile
        with self._lock:
            self._record(future, {"total": result.milliseconds})
        future.overlay = result.overlay
        return decoder.prediction_from_labels(result.labels)

    def _record(self, future: PredictionFuture, milliseconds: Mapping[str, float]) -> None:
        future.milliseconds = milliseconds
        for stage, value in milliseconds.items():
            self._recorder.add(stage, value)

    def _predict_batch(self, frames: Sequence[Frame], size: Size | str | None) -> list[Prediction]:
        """The predictions of at most one batch."""
        side = (self.spec.input.height, self.spec.input.width)
        sizes = [checked_size(size) if size is not None else frame.size for frame in frames]
        rgbs = [frame.resized(side) for frame in frames]
        with self._lock:
            outputs = self._infer(rgbs)
            self._backend.synchronize()
            return [
                self._decoder.prediction_from_outputs({name: array[n] for name, array in outputs.items()}, each)
                for n, each in enumerate(sizes)
            ]


def _frame_of(image: ImageLike | Frame) -> Frame:
    return image if isinstance(image, Frame) else Frame.from_rgb(0, 0.0, rgb_from_image(image))


def batch_of(artifact: Artifact, backend: Backend) -> tuple[int, int]:
    """The minimum and maximum batch of the engine, from its input's shape or its build."""
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
        raise SizeError(f"invalid mask size: {size!r}", hint='pass (height, width), or "WIDTHxHEIGHT"')
    return height, width


def open_segmenter(
    path: str | Path,
    *,
    engine: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    tiles: Tiles | str | None = None,
    crf: DenseCrf | str | None = None,
) -> Segmenter:
    """Open an engine, verified against its sidecar, an ONNX with a spec, or a model on a server.

    path: of a server's model its address, such as "triton://HOST:8001/MODEL".
    engine: for an ONNX without one; None for the default. `Segmenter.artifact` has its name.
    device: one that `edgeseg doctor` lists for the engine; "auto" is the first of them. UnavailableError where this
    machine lacks it. threads: of a CPU engine; None for all cores that this process may use. tiles: how images larger
    than the input are cut: "hann" or "centre", or `Tiles` with an overlap; "off" to resize them; None for what the file
    says. crf: a dense CRF refines the labels along the edges of the image, at many times the cost of the network: "on",
    options such as "iterations=5&beta=5", or a `DenseCrf`; the engine must give logits.
    """
    run = RunOptions(device, threads)
    if is_address(path):
        artifact, backend = open_remote(str(path), run)
        opened = open_engine(artifact.engine)
    else:
        artifact = Artifact.open(path)
        if not artifact.engine:
            artifact = dataclasses.replace(artifact, engine=engine or default_engine(for_onnx=True, device=device))
        opened = open_engine(artifact.engine)
        backend = opened.open(artifact, run)
    with contextlib.ExitStack() as on_failure, opened.named_failures(artifact.path):
        on_failure.callback(backend.close)
        segmenter = Segmenter(artifact, backend, tiles=tiles, crf=crf)
        began = time.perf_counter()
        segmenter.warm_up()
        on_failure.pop_all()
    seconds = time.perf_counter() - began
    logger.info("%s, %s, device %s: first image after %.2f s", backend.name, artifact.precision, device, seconds)
    if segmenter.tiles_text:
        logger.info("%s: %s", backend.name, segmenter.tiles_text)
    return segmenter
