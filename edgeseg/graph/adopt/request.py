"""What the user said about an ONNX, and what became known about it."""

from __future__ import annotations

from dataclasses import dataclass

from edgeseg.spec import LabelSet


@dataclass(frozen=True)
class AdoptionRequest:
    """What the user said; None or empty where the graph is to say it.

    color: "rgb" or "bgr". normalize: a line of normalise.PRESETS. mean, std: in the order of `color`, for values in
    0..1 or in 0..255. size: (width, height). layout: "nchw" or "nhwc". outputs: names of the heads to keep.
    """

    color: str | None = None
    normalize: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    size: tuple[int, int] | None = None
    layout: str | None = None
    outputs: tuple[str, ...] = ()
    labels: LabelSet | None = None
    align_corners: bool = False
    name: str = ""
    licence: str = "unknown"


@dataclass(frozen=True)
class Fact:
    """One thing that is now known, and why."""

    what: str
    value: str
    reason: str
