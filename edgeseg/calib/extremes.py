"""The smallest and largest values of a tensor: over all images, and of an average image."""

from __future__ import annotations

import math
from dataclasses import dataclass

WEIGHT = 0.01  # torch.ao.quantization.MovingAverageMinMaxObserver's averaging_constant


@dataclass
class Extremes:
    """minimum, maximum: over all images. average_minimum, average_maximum: moving averages of each image's own.

    average += weight * (value - average), the formula of torch's observer and of Jacob et al., 2018 (section 3.1). The
    first 1 / WEIGHT images count alike; with a fixed weight the first image alone would outweigh a short calibration.
    """

    minimum: float = math.inf
    maximum: float = -math.inf
    average_minimum: float = 0.0
    average_maximum: float = 0.0
    images: int = 0

    def add(self, minimum: float, maximum: float) -> None:
        """Take in one image's smallest and largest value."""
        self.minimum, self.maximum = min(self.minimum, minimum), max(self.maximum, maximum)
        self.images += 1
        weight = max(1 / self.images, WEIGHT)
        self.average_minimum += weight * (minimum - self.average_minimum)
        self.average_maximum += weight * (maximum - self.average_maximum)
