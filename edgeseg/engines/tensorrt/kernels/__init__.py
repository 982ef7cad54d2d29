"""What a GPU does to pixels before and after a network, from one source for GPUs and, in tests, for the CPU."""

from __future__ import annotations

from edgeseg.engines.tensorrt.kernels.kernels import PixelKernels
from edgeseg.engines.tensorrt.kernels.picture import RgbPicture, YuvPicture

__all__ = ["PixelKernels", "RgbPicture", "YuvPicture"]
