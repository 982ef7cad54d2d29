"""The pixel kernels on the GPU against their CPU twins, and their times at 2048x1024 with 19 classes.

Logits come in two kinds: "street", a street's labels with some noise, as a network gives them, and "noise", in which
no two neighbours agree. How planes (NV12, I420) are resized has no twin in numpy and is left to the tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgeseg.datasets.labels import CITYSCAPES_LABELS
from edgeseg.engines.tensorrt.cuda import Buffer, Cuda, open_cuda
from edgeseg.engines.tensorrt.kernels import PixelKernels, RgbFrame
from edgeseg.pixels.overlay import overlay_labels
from edgeseg.pixels.resize import resize_rgb
from edgeseg.pixels.upsample import labels_from_logits
from edgeseg.synthetic import StreetCamera
from gpu_steps.timing import event_figures, street_frame
from gpu_steps.work import Results, Work

ITEMS = ("",)
SIZE = (1024, 2048)
CLASSES = 19
STRIDES = (4, 8)
Array = np.ndarray[Any, Any]


def run(item: str, work: Work) -> Results:
    """Equality and time of each kernel."""
    with open_cuda() as cuda, cuda.current():
        device = Device(cuda, work)
        results = {"resize": device.resize(street_frame()), "overlay": device.overlay()}
        for stride in STRIDES:
            for kind, logits in logits_of(stride).items():
                for dtype in ("fp32", "fp16"):
                    results[f"labels {kind} 1/{stride} {dtype}"] = device.labels(logits, dtype)
        return {"size": list(SIZE), "classes": CLASSES, "kernels": results}


class Device:
    """The kernels, and arrays to and from them."""

    def __init__(self, cuda: Cuda, work: Work) -> None:
        self.cuda, self.work, self.stream = cuda, work, cuda.stream()
        self.kernels = PixelKernels(cuda)
        self.palette = np.array(CITYSCAPES_LABELS.palette, np.uint8)

    def resize(self, rgb: Array) -> Results:
        """A 1080p image to SIZE."""
        frame = RgbFrame(self.put(rgb).address, (rgb.shape[0], rgb.shape[1]))
        target = self.cuda.buffer(3 * SIZE[0] * SIZE[1])
        return self.compared(
            lambda: self.kernels.resize(frame, target.address, SIZE, self.stream), target, resize_rgb(rgb, SIZE)
        )

    def overlay(self) -> Results:
        """Labels at the network's resolution over an image of SIZE, into another one."""
        rgb, labels = StreetCamera(1, SIZE[1], SIZE[0]).render(0)
        low = np.ascontiguousarray(labels[::8, ::8])
        frame, at, target = RgbFrame(self.put(rgb).address, SIZE), self.put(low).address, self.cuda.buffer(rgb.size)
        sides = (low.shape[0], low.shape[1])
        return self.compared(
            lambda: self.kernels.overlay(frame, at, sides, self.palette, target.address, self.stream),
            target,
            overlay_labels(rgb, low, self.palette),
        )

    def labels(self, logits: Array, dtype: Any) -> Results:
        """Logits to the labels of SIZE."""
        array = logits.astype(np.float16 if dtype == "fp16" else np.float32)
        at, target = self.put(array).address, self.cuda.buffer(SIZE[0] * SIZE[1])
        shape = (array.shape[0], array.shape[1], array.shape[2])
        return self.compared(
            lambda: self.kernels.labels(at, shape, target.address, SIZE, self.stream, dtype=dtype),
            target,
            labels_from_logits(array.astype(np.float32), SIZE),
        )

    def compared(self, queue: Callable[[], object], target: Buffer, expected: Array) -> Results:
        """The kernel's time, and its result held against `expected`."""
        figures = event_figures(self.cuda, self.stream, queue, self.work)
        got = self.cuda.pinned(expected.shape, expected.dtype)
        self.cuda.download(got, target, self.stream)
        self.cuda.wait(self.stream)
        away = np.abs(got.astype(int) - expected)
        return {"ms": figures, "equal": float(np.mean(away == 0)), "most_away": int(away.max())}

    def put(self, array: Array) -> Buffer:
        """`array` in device memory."""
        buffer = self.cuda.buffer(array.nbytes)
        self.cuda.upload(buffer, np.ascontiguousarray(array), self.stream)
        self.cuda.wait(self.stream)
        return buffer


def logits_of(stride: int) -> dict[str, Array]:
    """Logits (CLASSES, h, w) of both kinds."""
    rng = np.random.default_rng(0)
    _, labels = StreetCamera(0, SIZE[1], SIZE[0]).render(0)
    low = labels[stride // 2 :: stride, stride // 2 :: stride]
    noise = rng.normal(size=(CLASSES, *low.shape)).astype(np.float32)
    return {"street": 8 * (low == np.arange(CLASSES)[:, None, None]) + noise, "noise": noise}
