"""Random scale, crop, flip and colour for one picture and its labels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.uint8]
IGNORE = 255
PAD_RGB = (124, 116, 104)  # the mean colour of ImageNet, which the normalisation maps to 0


@dataclass(frozen=True)
class Augmentation:
    """What happens to a picture before it is learnt from.

    size: (height, width) to which a picture is stretched at inference. crop: (height, width) of what is learnt from.
    scale: smallest and largest factor on `size`. colour: largest relative change of brightness, contrast, saturation.
    """

    size: tuple[int, int]
    crop: tuple[int, int]
    scale: tuple[float, float] = (0.5, 2.0)
    colour: float = 0.4

    def apply(self, rgb: Array, labels: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """(H, W, 3) and (H, W), any size, to a crop; what lies outside the picture is ignored."""
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
        brightness, contrast, saturation = 1.0 + rng.uniform(-self.colour, self.colour, 3)
        pixels = rgb.astype(np.float32)
        grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
        pixels = grey[..., None] + saturation * (pixels - grey[..., None])
        pixels = brightness * (grey.mean() + contrast * (pixels - grey.mean()))
        clipped: Array = np.clip(pixels, 0, 255).astype(np.uint8)
        return clipped
