"""Colour order, mean and std: what no graph says of itself, and what costs most where it is wrong."""

from __future__ import annotations

from math import isfinite

from edgeseg.errors import FormatError, UnknownNameError
from edgeseg.graph.adopt.picture import Picture
from edgeseg.graph.adopt.request import AdoptionRequest, Fact
from edgeseg.spec import InputSpec

Three = tuple[float, ...]
RAW: tuple[Three, Three] = ((0.0,) * 3, (1 / 255,) * 3)  # values of 0..255 enter the network as they are
PRESETS: dict[str, tuple[Three, Three]] = {  # for values in 0..1, in the order rgb
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "unit": ((0.0,) * 3, (1.0,) * 3),
    "minus1to1": ((0.5,) * 3, (0.5,) * 3),
    "none": RAW,
}
COLORS = ("rgb", "bgr")
LARGEST_UNIT = 1.5  # a mean or std above this is meant for values in 0..255


def input_spec_of(picture: Picture, wishes: AdoptionRequest, name: str) -> tuple[InputSpec, list[Fact]]:
    """The input of the deploy graph, and why. FormatError, with the options to type, where something was not told."""
    if wishes.color and wishes.color not in COLORS:
        raise UnknownNameError.among("colour order", wishes.color, COLORS)
    check_told(picture, wishes, name)
    color = str(wishes.color)
    mean, std, reason = normalisation_of(picture, wishes, color)
    spec = InputSpec(width=picture.width, height=picture.height, mean=mean, std=std, color=color)
    return spec, [
        Fact("colour order", color.upper(), "told: --input"),
        Fact("mean, for 0..1", ", ".join(f"{value:.4g}" for value in mean), reason),
        Fact("std, for 0..1", ", ".join(f"{value:.4g}" for value in std), reason),
    ]


def check_told(picture: Picture, wishes: AdoptionRequest, name: str) -> None:
    """FormatError, naming all that is missing at once, or what was told twice."""
    typed = wishes.mean is not None or wishes.std is not None
    if wishes.normalize and typed:
        raise FormatError("--normalize and --mean, --std say the same thing", hint="leave one of them out")
    if picture.dtype == "uint8" and (typed or wishes.normalize not in (None, "none")):
        message = f"{name} takes uint8 and normalises by itself"
        raise FormatError(message, hint="leave --mean, --std and --normalize out")
    lacking, hints = [], []
    if wishes.color is None:
        lacking.append("whether it takes RGB or BGR")
        hints.append("add --input rgb or --input bgr")
    if picture.dtype == "float32" and not wishes.normalize and (wishes.mean is None or wishes.std is None):
        lacking.append("its mean and std" if not typed else "its mean" if wishes.mean is None else "its std")
        order = " ".join(wishes.color or "rgb").upper()
        hints.append(f"add --mean {order} --std {order}, or --normalize {'|'.join(PRESETS)}")
    if lacking:
        raise FormatError(f"{name} does not say {' and '.join(lacking)}", hint="; ".join(hints))


def normalisation_of(picture: Picture, wishes: AdoptionRequest, color: str) -> tuple[Three, Three, str]:
    """Mean and std for values in 0..1 in the order of `color`, and where they come from."""
    if picture.dtype == "uint8":
        return *RAW, "its input is uint8: it normalises by itself"
    if wishes.normalize:
        if wishes.normalize not in PRESETS:
            raise UnknownNameError.among("normalisation", wishes.normalize, PRESETS)
        mean, std = (values if color == "rgb" else values[::-1] for values in PRESETS[wishes.normalize])
        return mean, std, f"told: --normalize {wishes.normalize}"
    mean, std, large = unit_statistics(wishes.mean or (), wishes.std or ())
    return mean, std, f"told: --mean, --std{f'; read as 0..255, since one is over {LARGEST_UNIT}' if large else ''}"


def unit_statistics(mean: Three, std: Three) -> tuple[Three, Three, bool]:
    """Mean and std, typed for values in 0..1 or in 0..255, for values in 0..1; and whether it was the latter.

    FormatError for what is not three finite numbers each, for a std that is not above 0, and for two scales in one:
    for 0..255 a mean is 0 or more than 1.5, and a std at least 1 (Caffe's nets subtract a mean and divide by nothing).
    """
    if len(mean) != 3 or len(std) != 3 or not all(value > 0 for value in std) or not all(map(isfinite, (*mean, *std))):
        raise FormatError(f"mean {mean} and std {std}", hint="type three numbers each, std above 0")
    if max(*mean, *std) <= LARGEST_UNIT:
        return mean, std, False
    if any(0 < abs(value) <= LARGEST_UNIT for value in mean) or min(std) < 1:
        raise FormatError(
            f"mean {mean} and std {std}: some are for values in 0..1, others for 0..255",
            hint="give all six for 0..1, such as 0.485 and 0.229, or all for 0..255, such as 123.7 and 58.4",
            code="ES-FORMAT-SCALE",
        )
    return tuple(value / 255 for value in mean), tuple(value / 255 for value in std), True
