"""Random scale, crop, flip and colour for one image and its labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.uint8]
Pixels = NDArray[np.floating[Any]]
IGNORE = 255
PAD_RGB = (124, 116, 104)  # the mean colour of ImageNet, which the normalisation maps to 0
GREY = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Augmentation:
    """Random changes of an image and its labels.

    size: (height, width) to which inference resizes an image. crop: (height, width) of the result.
    scale: smallest and largest factor on `size`. colour: largest relative change of brightness, contrast, saturation.
    The rest is off at 0 and then draws no random number. gamma: largest |ln| of the exponent on 0..1. hue: largest
    rotation in degrees. gain: largest relative change of each channel. blur: largest sigma in pixels. noise: largest
    standard deviation in grey levels.
    """

    size: tuple[int, int]
    crop: tuple[int, int]
    scale: tuple[float, float] = (0.5, 2.0)
    colour: float = 0.4
    gamma: float = 0.0
    hue: float = 0.0
    gain: float = 0.0
    blur: float = 0.0
    noise: float = 0.0

    def apply(self, rgb: Array, labels: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """(H, W, 3) and (H, W), of any size, to a crop; labels outside the image are the ignore id."""
        factor = float(np.exp(rng.uniform(*np.log(self.scale))))
        size = (max(1, round(self.size[1] * factor)), max(1, round(self.size[0] * factor)))
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if factor < 0.7 else cv2.INTER_LINEAR)
        labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
        rgb, labels = self._crop(rgb, labels, rng)
        if rng.random() < 0.5:
            rgb, labels = rgb[:, ::-1], labels[:, ::-1]
        return self._recolour(rgb, rng), np.ascontiguousarray(labels)

    def _crop(self, rgb: Array, labels: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        height, width = self.crop
        bottom, right = max(0, height - labels.shape[0]), max(0, width - labels.shape[1])
        if bottom or right:
            rgb = cv2.copyMakeBorder(rgb, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=PAD_RGB)
            labels = cv2.copyMakeBorder(labels, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=IGNORE)
        top = int(rng.integers(labels.shape[0] - height + 1))
        left = int(rng.integers(labels.shape[1] - width + 1))
        window = np.s_[top : top + height, left : left + width]
        return rgb[window], labels[window]

    def _recolour(self, rgb: Array, rng: np.random.Generator) -> Array:
        """Brightness, contrast, saturation, hue and gain in one pass: together they are one affine map of rgb."""
        brightness, contrast, saturation = 1.0 + rng.uniform(-self.colour, self.colour, 3)
        mean_grey = GREY @ cv2.mean(rgb)[:3]
        matrix = brightness * contrast * (saturation * np.eye(3) + (1 - saturation) * GREY)
        offset = brightness * (1 - contrast) * np.full((3, 1), mean_grey)
        affine = self._hue_and_gain(rng) @ np.hstack([matrix, offset])
        if not (self.blur or self.noise or self.gamma):
            recoloured: Array = cv2.transform(rgb, affine)  # rounded, and clipped to 0..255
            return recoloured
        pixels = self._degrade(cv2.transform(rgb.astype(np.float32), affine), rng)
        clipped: Array = np.clip(pixels, 0, 255).round().astype(np.uint8)
        return clipped

    def _hue_and_gain(self, rng: np.random.Generator) -> Pixels:
        """(3, 3): random hue and channel gains."""
        matrix: Pixels = np.eye(3)
        if self.hue:
            matrix = hue_rotation(rng.uniform(-self.hue, self.hue))
        if self.gain:
            matrix = (1.0 + rng.uniform(-self.gain, self.gain, 3))[:, None] * matrix
        return matrix

    def _degrade(self, pixels: Pixels, rng: np.random.Generator) -> Pixels:
        """Blur, noise and gamma, in the order in which a camera adds them."""
        if self.blur:
            sigma = rng.uniform(0, self.blur)
            pixels = cv2.GaussianBlur(pixels, (0, 0), sigma) if sigma > 0.1 else pixels
        if self.noise:
            pixels = pixels + rng.uniform(0, self.noise) * rng.standard_normal(pixels.shape, np.float32)
        if self.gamma:
            exponent = np.exp(rng.uniform(-self.gamma, self.gamma))
            pixels = 255 * (np.clip(pixels, 0, 255) / 255) ** exponent
        return pixels


def hue_rotation(degrees: float) -> Pixels:
    """(3, 3): rotates rgb about the grey axis by Rodrigues' formula; grey and the sum of the channels stay."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees)) / np.sqrt(3)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    return np.asarray(cosine * np.eye(3) + (1 - cosine) / 3 + sine * cross)
