"""The pixel work around a network on the GPU: resize, labels and overlay, from one source that tests run on the CPU."""

from __future__ import annotations

from edgeseg.engines.tensorrt.kernels.device_frame import RgbFrame, YuvFrame
from edgeseg.engines.tensorrt.kernels.kernels import PixelKernels

__all__ = ["PixelKernels", "RgbFrame", "YuvFrame"]
