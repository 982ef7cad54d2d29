"""Warnings about a calibration: commands print them, programs read their codes."""

from __future__ import annotations

import logging
from collections.abc import Callable

from edgeseg.measure.diagnostic import Diagnostic

FEW = 8
ENOUGH = 64
Warn = Callable[[Diagnostic], None]

logger = logging.getLogger(__name__)


def log_warning(warning: Diagnostic) -> None:
    """Log a warning with its hint."""
    logger.warning("%s (%s)", warning.message, warning.hint)


def few_images(images: int) -> list[Diagnostic]:
    """A warning where `images` are so few that the next image may well have larger values."""
    if images >= FEW:
        return []
    message = f"the ranges come from only {images} image{'s' if images > 1 else ''}"
    return [Diagnostic("few-images", message, f"calibrate on more images; {ENOUGH} are enough")]


def uniform_images(uniform: int, images: int) -> list[Diagnostic]:
    """A warning where `uniform` of the `images`, half of them or more, have a single colour."""
    if 2 * uniform < images:
        return []
    message = f"{uniform} of {images} images have a single colour"
    hint = "look at the images: the camera may have been covered, or the folder may hold labels"
    return [Diagnostic("flat-images", message, hint)]


def constant_logits(answers: int, inputs: int) -> list[Diagnostic]:
    """A warning where different images, `inputs` of them, all gave the same logits."""
    if answers != 1 or inputs < 2:
        return []
    hint = "the weights may be untrained or zero: look at a mask before you deploy this model"
    return [Diagnostic("constant-logits", "the logits do not depend on the image", hint)]


def small_images(small: int, images: int, size: str) -> list[Diagnostic]:
    """A warning where `small` of the `images`, half of them or more, were enlarged a lot to `size`."""
    if not small or 2 * small < images:
        return []
    message = f"{small} of {images} images are less than half as large as the input, {size}"
    hint = "use images of the camera's own size: enlarged images have no fine detail"
    return [Diagnostic("small-images", message, hint)]
