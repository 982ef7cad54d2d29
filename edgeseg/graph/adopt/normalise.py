"""Colour order, mean and std of the input. No graph states them, and wrong values cost the most accuracy."""

from __future__ import annotations

from math import isfinite

from edgeseg.errors import FormatError, UnknownNameError
from edgeseg.graph.adopt.network_input import NetworkInput
from edgeseg.graph.adopt.request import AdoptionRequest, Property
from edgeseg.spec import InputSpec

Triple = tuple[float, ...]
RAW: tuple[Triple, Triple] = ((0.0,) * 3, (1 / 255,) * 3)  # the network takes values of 0..255
PRESETS: dict[str, tuple[Triple, Triple]] = {  # for values in 0..1, in rgb order
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "unit": ((0.0,) * 3, (1.0,) * 3),
    "minus1to1": ((0.5,) * 3, (0.5,) * 3),
    "none": RAW,
}
COLORS = ("rgb", "bgr")
LARGEST_UNIT = 1.5  # a mean or std above this is meant for values in 0..255


def input_spec_of(network_input: NetworkInput, request: AdoptionRequest, name: str) -> tuple[InputSpec, list[Property]]:
    """The input spec, with its reasons. FormatError, with the options to add, if something is not stated."""
    if request.color and request.color not in COLORS:
        raise UnknownNameError.among("colour order", request.color, COLORS)
    check_complete(network_input.dtype, request, name)
    color = str(request.color)
    mean, std, reason = normalisation_of(network_input, request, color)
    spec = InputSpec(width=network_input.width, height=network_input.height, mean=mean, std=std, color=color)
    return spec, [
        Property("colour order", color.upper(), "stated with --input"),
        Property("mean, for 0..1", ", ".join(f"{value:.4g}" for value in mean), reason),
        Property("std, for 0..1", ", ".join(f"{value:.4g}" for value in std), reason),
    ]


def check_complete(dtype: str, request: AdoptionRequest, name: str) -> None:
    """FormatError that lists all missing options, or those that exclude each other."""
    explicit = request.mean is not None or request.std is not None
    if request.normalize and explicit:
        message = "--normalize and --mean, --std exclude each other"
        raise FormatError(message, hint="leave one of them out", code="ES-MISMATCH-OPTIONS")
    if dtype == "uint8" and (explicit or request.normalize not in (None, "none")):
        message = f"{name} takes uint8 and normalises it itself"
        raise FormatError(message, hint="leave out --mean, --std and --normalize", code="ES-MISMATCH-OPTIONS")
    missing, hints = [], []
    if request.color is None:
        missing.append("whether it takes RGB or BGR")
        hints.append("add --input rgb or --input bgr")
    if dtype == "float32" and not request.normalize and (request.mean is None or request.std is None):
        missing.append("its mean and std" if not explicit else "its mean" if request.mean is None else "its std")
        order = " ".join(request.color or "rgb").upper()
        hints.append(f"add --mean {order} --std {order}, or --normalize {'|'.join(PRESETS)}")
    if missing:
        raise FormatError(f"{name} does not state {' and '.join(missing)}", hint="; ".join(hints), code="ES-UNSTATED")


def normalisation_of(network_input: NetworkInput, request: AdoptionRequest, color: str) -> tuple[Triple, Triple, str]:
    """Mean and std for values in 0..1 in the order of `color`, with the reason."""
    if network_input.dtype == "uint8":
        return *RAW, "its input is uint8, which it normalises itself"
    if request.normalize:
        if request.normalize not in PRESETS:
            raise UnknownNameError.among("normalisation", request.normalize, PRESETS)
        mean, std = (values if color == "rgb" else values[::-1] for values in PRESETS[request.normalize])
        return mean, std, f"stated with --normalize {request.normalize}"
    mean, std, large = unit_statistics(request.mean or (), request.std or ())
    scale = f"; taken for 0..255, since one is above {LARGEST_UNIT}" if large else ""
    return mean, std, f"stated with --mean, --std{scale}"


def unit_statistics(mean: Triple, std: Triple) -> tuple[Triple, Triple, bool]:
    """Mean and std for values in 0..1, and whether they were stated for values in 0..255.

    FormatError unless each is three finite numbers with a positive std, all on one scale: for 0..255 a mean is 0 or
    above 1.5 and a std at least 1 (networks of Caffe subtract a mean and do not divide).
    """
    if len(mean) != 3 or len(std) != 3 or not all(value > 0 for value in std) or not all(map(isfinite, (*mean, *std))):
        raise FormatError(
            f"mean {mean} and std {std}", hint="give three numbers each, std above 0", code="ES-FORMAT-NUMBERS"
        )
    if max(*mean, *std) <= LARGEST_UNIT:
        return mean, std, False
    if any(0 < abs(value) <= LARGEST_UNIT for value in mean) or min(std) < 1:
        raise FormatError(
            f"mean {mean} and std {std}: some are for values in 0..1, others for 0..255",
            hint="give all six for 0..1, such as 0.485 and 0.229, or all for 0..255, such as 123.7 and 58.4",
            code="ES-FORMAT-SCALE",
        )
    return tuple(value / 255 for value in mean), tuple(value / 255 for value in std), True
