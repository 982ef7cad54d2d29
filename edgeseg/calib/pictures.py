"""What is known of the pictures that a calibration has read: how many, which ones, and whether they show anything."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from edgeseg.calib.warnings import few_images, flat_images
from edgeseg.errors import SizeError
from edgeseg.measure.diagnostic import Diagnostic
from edgeseg.spec import ModelSpec

Rgb = NDArray[np.uint8]


class Pictures:
    """The pictures read so far, for the input of `spec`. flat: how many are one colour all over."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.images = self.flat = 0
        self.pixels = hashlib.sha256()

    def add(self, rgb: Rgb) -> None:
        """Count one, which has passed `check`."""
        self.pixels.update(np.ascontiguousarray(rgb).data)
        self.images += 1
        self.flat += bool((rgb == rgb[0, 0]).all())

    def check(self, rgb: Rgb) -> None:
        """Raise SizeError unless `rgb`, the next one, fits the model's input."""
        wanted = (self.spec.input.height, self.spec.input.width, 3)
        if rgb.shape != wanted or rgb.dtype != np.uint8:
            raise SizeError(
                f"calibration image {self.images} is {rgb.dtype} {rgb.shape}, {self.spec.name} takes uint8 {wanted}",
                hint="resize it with edgeseg.pixels.resize.resize_rgb, or name a folder",
            )

    @property
    def sha256(self) -> str:
        """The SHA-256 of all their pixels, in order."""
        return self.pixels.hexdigest()

    def caveats(self) -> list[Diagnostic]:
        """What is doubtful about them."""
        return few_images(self.images) + flat_images(self.flat, self.images)
