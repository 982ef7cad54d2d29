"""The pixel kernels on a device: their grids and parameters, and the tables that they read."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from ctypes import Structure
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgeseg.engines.tensorrt.cuda.cuda import Buffer, Cuda, Stream
from edgeseg.engines.tensorrt.kernels.compile import KERNELS, cubin_from_source
from edgeseg.engines.tensorrt.kernels.device_frame import DeviceFrame, RgbFrame, Size
from edgeseg.engines.tensorrt.kernels.structs import Labels, Nearest, Overlay
from edgeseg.errors import SizeError
from edgeseg.pixels.overlay import Palette, blend_tables
from edgeseg.pixels.resize import resize_taps

THREADS = 128  # of a block, in a row: __launch_bounds__ in pixels.cu
ROWS = 4  # of a mask per thread: ROWS in pixels.cu
MAX_SIDE = 32767  # pixels: indices have 16 bits, and products of two sides 32


class PixelKernels:
    """Kernels that queue their work on a stream. Memory is given by its device address and stays its owner's.

    Needs the context on the calling thread. The first call with a new pair of sizes or a new palette uploads a table,
    so make it before a capture.
    """

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self._kernels = cuda.load_kernels(cubin_from_source(str(cuda.facts()["compute_capability"])), KERNELS)
        self._tables: dict[Hashable, Buffer] = {}

    def resize(self, frame: DeviceFrame, target: int, size: Size, stream: Stream) -> None:
        """Resize `frame` to `size` (H, W) as contiguous rgb (H, W, 3) uint8 at `target`, as `resize_rgb` does."""
        _check_sides(*frame.size, *size)
        rows = self._taps(frame.size[0], size[0], stream, columns=False)
        columns = self._taps(frame.size[1], size[1], stream, columns=True)
        self._run(frame.kernel, size, frame.arguments(target, rows, columns, size), stream)

    def labels(
        self,
        logits: int,
        shape: tuple[int, int, int],
        target: int,
        size: Size,
        stream: Stream,
        *,
        dtype: Literal["fp32", "fp16"] = "fp32",
        align_corners: bool = False,
    ) -> None:
        """The labels (H, W) uint8 of `size` from logits of `shape` (C, h, w), as `labels_from_logits` gives them."""
        classes, height, width = shape
        _check_sides(height, width, *size)
        if not 1 <= classes <= 255:
            raise SizeError(f"uint8 labels cannot hold {classes} classes", hint="use a model with 1 to 255 classes")
        scales = (_scale(*sides, align_corners) for sides in zip((height, width), size))
        values = Labels(logits, target, classes, height, width, *size, *scales, 0.0 if align_corners else 0.5)
        kernel = {"fp32": "labels_float", "fp16": "labels_half"}[dtype]
        self._run(kernel, (-(-size[0] // ROWS), size[1]), values, stream)

    def nearest(self, labels: int, labels_size: Size, target: int, size: Size, stream: Stream) -> None:
        """Resize labels (h, w) to `size`, as `labels_nearest` does."""
        _check_sides(*labels_size, *size)
        self._run("labels_nearest", size, Nearest(labels, target, *labels_size, *size), stream)

    def overlay(
        self,
        frame: RgbFrame,
        labels: int,
        labels_size: Size,
        palette: Palette,
        target: int,
        stream: Stream,
        *,
        opacity: float = 0.5,
    ) -> None:
        """Blend the colours of labels (h, w) into `frame`, as `overlay_labels` does, in the frame's colour order.

        target: (H, W, 3) without gaps; it may be the frame's own address if that has no gaps.
        """
        _check_sides(*labels_size, *frame.size)
        blends = self._table(
            ("blend", palette.tobytes(), opacity), lambda: np.column_stack(blend_tables(palette, opacity)), stream
        )
        sides = (frame.row_bytes, *labels_size, *frame.size, frame.bgr)
        self._run("overlay", frame.size, Overlay(frame.address, target, labels, blends, *sides), stream)

    def _run(self, kernel: str, size: Size, values: Structure, stream: Stream) -> None:
        grid = (-(-size[1] // THREADS), size[0], 1)
        self._cuda.run(self._kernels[kernel], grid, (THREADS, 1, 1), values, stream)

    def _taps(self, size_in: int, size_out: int, stream: Stream, *, columns: bool) -> int:
        return self._table(
            ("taps", size_in, size_out, columns), lambda: resize_taps(size_in, size_out, columns=columns), stream
        )

    def _table(self, key: Hashable, make: Callable[[], NDArray[Any]], stream: Stream) -> int:
        """The address of a table, which the first call makes and uploads."""
        if key not in self._tables:
            table = np.ascontiguousarray(make())
            buffer = self._cuda.buffer(table.nbytes)
            self._cuda.upload(buffer, table, stream)
            self._cuda.wait(stream)  # the copy reads `table` until then
            self._tables[key] = buffer
        return self._tables[key].address


def _scale(size_in: int, size_out: int, align_corners: bool) -> np.float32:
    """Source pixels per target pixel, in float32 as in torch."""
    if align_corners:
        return np.float32(size_in - 1) / np.float32(max(size_out - 1, 1))
    return np.float32(size_in) / np.float32(size_out)


def _check_sides(*sides: int) -> None:
    if not 1 <= min(sides) <= max(sides) <= MAX_SIDE:
        side = max(sides) if min(sides) > 0 else min(sides)
        raise SizeError(f"an image has a side of {side} pixels", hint=f"scale it to 1 to {MAX_SIDE} pixels")
