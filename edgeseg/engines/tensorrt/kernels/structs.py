"""The kernels' parameters, field by field as in pixels.cu; pointers come first, so that neither side pads."""

from __future__ import annotations

from ctypes import Structure, c_float, c_int, c_void_p
from typing import Any


def _fields(pointers: str, integers: str, floats: str = "") -> list[tuple[str, Any]]:
    groups = ((pointers, c_void_p), (integers, c_int), (floats, c_float))
    return [(name, ctype) for names, ctype in groups for name in names.split()]


class ResizeRgb(Structure):
    """A packed frame to the network's size."""

    _fields_ = _fields("source target rows columns", "pitch height width bgr")


class ResizeYuv(Structure):
    """A frame of planes to the network's size."""

    _fields_ = _fields(
        "y u v target rows columns",
        "y_pitch uv_pitch uv_step height width black luma red_v green_u green_v blue_u",
    )


class Labels(Structure):
    """Logits to labels."""

    _fields_ = _fields("logits labels", "classes height width rows columns", "row_scale column_scale centre")


class Nearest(Structure):
    """Labels to labels of another size."""

    _fields_ = _fields("source target", "height width rows columns")


class Overlay(Structure):
    """Labels drawn over a frame."""

    _fields_ = _fields("frame target labels blends", "pitch height width rows columns bgr")
