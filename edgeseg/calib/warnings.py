"""What is doubtful about a calibration, as values that a command prints and a program reads."""

from __future__ import annotations

import logging
from collections.abc import Callable

from edgeseg.measure.diagnostic import Diagnostic

FEW = 8
ENOUGH = 64
Warn = Callable[[Diagnostic], None]

logger = logging.getLogger(__name__)


def log_caveat(caveat: Diagnostic) -> None:
    """Log a doubt as a warning."""
    logger.warning("%s (%s)", caveat.message, caveat.hint)


def few_images(images: int) -> list[Diagnostic]:
    """A doubt where there are so few images that the next one may well hold larger values."""
    if images >= FEW:
        return []
    message = f"the ranges rest on {images} image{'s' if images > 1 else ''}"
    return [Diagnostic("few-images", message, f"calibrate with more; {ENOUGH} are enough")]


def flat_images(flat: int, images: int) -> list[Diagnostic]:
    """A doubt where half of the pictures or more, `flat` of them, are one colour all over."""
    if 2 * flat < images:
        return []
    message = "every picture is one colour" if flat == images else f"{flat} of {images} pictures are one colour"
    hint = "look at the pictures: the camera may have been covered, or the folder be that of the labels"
    return [Diagnostic("flat-images", message, hint)]


def constant_logits(answers: int, pictures: int) -> list[Diagnostic]:
    """A doubt where different pictures, `pictures` of them, gave but one answer."""
    if answers != 1 or pictures < 2:
        return []
    hint = "the weights may be untrained, or zero: look at a mask before you deploy this"
    return [Diagnostic("constant-logits", "the logits do not depend on the picture", hint)]


def small_images(small: int, images: int, size: str) -> list[Diagnostic]:
    """A doubt where half of the pictures or more, `small` of them, were enlarged a lot to `size`."""
    if not small or 2 * small < images:
        return []
    message = f"{small} of {images} pictures are less than half as large as the input, {size}"
    return [
        Diagnostic("small-images", message, "use pictures of the camera's own size: enlarged ones have no fine detail")
    ]
