"""The pixel kernels on a device: their grids and arguments, and the small tables that they read."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from ctypes import Structure
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgeseg.engines.tensorrt.cuda.cuda import Buffer, Cuda, Stream
from edgeseg.engines.tensorrt.kernels.arguments import Labels, Nearest, Overlay
from edgeseg.engines.tensorrt.kernels.cpu import library_path
from edgeseg.engines.tensorrt.kernels.nvcc import cubin_from_source
from edgeseg.engines.tensorrt.kernels.picture import Picture, RgbPicture, Size
from edgeseg.engines.tensorrt.kernels.source import KERNELS
from edgeseg.engines.tensorrt.kernels.taps import resize_taps
from edgeseg.errors import SizeError
from edgeseg.pixels.overlay import blend_tables
from edgeseg.pixels.palette import Palette

THREADS = 128  # of a block, side by side: what pixels.cu is compiled for
ROWS = 4  # of a mask that one thread works: ROWS in pixels.cu
LONGEST = 32767  # pixels of a side: indices are 16 bits wide, and products of two sides 32


def image_from_source(compute_capability: str) -> bytes:
    """What `Cuda.load_kernels` takes: a cubin, or for the emulated device, "cpu", the path of a library."""
    if compute_capability == "cpu":
        return os.fsencode(library_path())
    return cubin_from_source(compute_capability)


class PixelKernels:
    """Kernels that queue their work on a stream. Memory is named by its device address; whose it is stays its owner's.

    Needs the context on the calling thread. The first call with a new pair of sizes or a new palette uploads a table,
    so make it before a capture.
    """

    def __init__(self, cuda: Cuda, image: bytes | None = None) -> None:
        self._cuda = cuda
        image = image_from_source(str(cuda.facts()["compute_capability"])) if image is None else image
        self._kernels = cuda.load_kernels(image, KERNELS)
        self._tables: dict[Hashable, Buffer] = {}

    def resize(self, picture: Picture, target: int, size: Size, stream: Stream) -> None:
        """Bring `picture` to `size` (H, W) as contiguous rgb (H, W, 3) uint8 at `target`, as `resize_rgb` does."""
        _check_sides(*picture.size, *size)
        rows = self._taps(picture.size[0], size[0], stream, columns=False)
        columns = self._taps(picture.size[1], size[1], stream, columns=True)
        self._run(picture.kernel, size, picture.arguments(target, rows, columns, size), stream)

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
            raise SizeError(f"{classes} classes for uint8 labels", hint="use a model with 1 to 255 classes")
        scales = (_scale(*sides, align_corners) for sides in zip((height, width), size))
        values = Labels(logits, target, classes, height, width, *size, *scales, 0.0 if align_corners else 0.5)
        kernel = {"fp32": "labels_float", "fp16": "labels_half"}[dtype]
        self._run(kernel, (-(-size[0] // ROWS), size[1]), values, stream)

    def nearest(self, labels: int, labels_size: Size, target: int, size: Size, stream: Stream) -> None:
        """Labels (h, w) brought to `size`, as `labels_nearest` does."""
        _check_sides(*labels_size, *size)
        self._run("labels_nearest", size, Nearest(labels, target, *labels_size, *size), stream)

    def overlay(
        self,
        picture: RgbPicture,
        labels: int,
        labels_size: Size,
        palette: Palette,
        target: int,
        stream: Stream,
        *,
        opacity: float = 0.5,
    ) -> None:
        """`picture` with the colours of labels (h, w) blended in, as `overlay_labels` does, in the picture's order.

        target: (H, W, 3) without gaps; the picture's own address where that has none.
        """
        _check_sides(*labels_size, *picture.size)
        blends = self._table(
            ("blend", palette.tobytes(), opacity), lambda: np.column_stack(blend_tables(palette, opacity)), stream
        )
        sides = (picture.row_bytes, *labels_size, *picture.size, picture.bgr)
        self._run("overlay", picture.size, Overlay(picture.address, target, labels, blends, *sides), stream)

    def _run(self, kernel: str, size: Size, values: Structure, stream: Stream) -> None:
        grid = (-(-size[1] // THREADS), size[0], 1)
        self._cuda.run(self._kernels[kernel], grid, (THREADS, 1, 1), values, stream)

    def _taps(self, size_in: int, size_out: int, stream: Stream, *, columns: bool) -> int:
        return self._table(
            ("taps", size_in, size_out, columns), lambda: resize_taps(size_in, size_out, columns=columns), stream
        )

    def _table(self, key: Hashable, make: Callable[[], NDArray[Any]], stream: Stream) -> int:
        """The address of a table that is made and uploaded when it is first asked for."""
        if key not in self._tables:
            table = np.ascontiguousarray(make())
            buffer = self._cuda.buffer(table.nbytes)
            self._cuda.upload(buffer, table, stream)
            self._cuda.wait(stream)  # `table` is left alone until here
            self._tables[key] = buffer
        return self._tables[key].address


def _scale(size_in: int, size_out: int, align_corners: bool) -> np.float32:
    """Source pixels a target pixel, in float32 as torch has it."""
    if align_corners:
        return np.float32(size_in - 1) / np.float32(max(size_out - 1, 1))
    return np.float32(size_in) / np.float32(size_out)


def _check_sides(*sides: int) -> None:
    if not 1 <= min(sides) <= max(sides) <= LONGEST:
        raise SizeError(f"a picture with a side of {max(sides)} pixels", hint=f"scale it to at most {LONGEST}")
