"""What a user states about an ONNX to adopt, and the properties it is adopted with."""

from __future__ import annotations

from dataclasses import dataclass

from edgeseg.spec import LabelSet


@dataclass(frozen=True)
class AdoptionRequest:
    """What the user states about the file; None or empty where the graph decides.

    color: "rgb" or "bgr". normalize: a key of normalise.PRESETS. mean, std: in the order of `color`, for values in
    0..1 or in 0..255. size: (width, height). layout: "nchw" or "nhwc". outputs: names of the outputs to keep.
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
class Property:
    """A property of the adopted model, with the reason for its value."""

    what: str
    value: str
    reason: str
