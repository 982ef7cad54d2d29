"""A survey of a data set: it reads every file once, counts, and lists unusable files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.datasets.dataset import Bytes, Dataset, Sample
from edgeseg.datasets.problems import IMAGES, LABELS, Problems
from edgeseg.errors import EdgeSegError
from edgeseg.progress import Progress, silent
from edgeseg.spec import LabelSet

IDS = 256


@dataclass(frozen=True)
class Survey:
    """The result of `survey_dataset`.

    readable: the samples without problems; only these are counted.
    sizes: (H, W) -> number of images. pixels, images: (256,) int64, for each id the pixels and images that have it.
    """

    labels: LabelSet
    readable: Sequence[Sample]
    sizes: Counter[tuple[int, int]]
    pixels: NDArray[np.int64]
    images: NDArray[np.int64]
    problems: Problems

    def shares(self) -> NDArray[np.float64]:
        """(classes,) the share of each class in all pixels, including ignored ones."""
        return np.asarray(self.pixels[: len(self.labels)] / max(1, self.pixels.sum()))

    def ignored(self) -> float:
        """The share of ignored pixels."""
        return float(self.pixels[self.labels.ignore] / max(1, self.pixels.sum()))

    def to_dict(self) -> dict[str, Any]:
        """Plain data, sizes as WIDTHxHEIGHT, the most frequent first."""
        return {
            "read": len(self.readable),
            "sizes": {f"{W}x{H}": count for (H, W), count in self.sizes.most_common()},
            "classes": [
                {"name": name, "share": float(share), "images": int(images)}
                for name, share, images in zip(self.labels.names, self.shares(), self.images)
            ],
            "ignored": self.ignored(),
            "problems": self.problems.to_dict(),
        }


def survey_dataset(dataset: Dataset, samples: Sequence[Sample], *, progress: Progress = silent) -> Survey:
    """Read `samples` of `dataset`. Unusable files are not errors; they are in `problems`."""
    problems, sizes, readable = Problems(), Counter[tuple[int, int]](), []
    pixels, images = np.zeros(IDS, np.int64), np.zeros(IDS, np.int64)
    for count, sample in enumerate(samples, 1):
        rgb = read_or_add(sample.rgb, sample.name, IMAGES, problems)
        labels = read_or_add(sample.labels, sample.name, LABELS, problems)
        if rgb is not None and labels is not None:
            counts = np.bincount(labels.ravel(), minlength=IDS)
            pixels += counts
            images += counts > 0
            sizes[labels.shape[0], labels.shape[1]] += 1
            readable.append(sample)
        progress("read", count, len(samples))
    return Survey(dataset.labels, readable, sizes, pixels, images, problems)


def read_or_add(read: Callable[[], Bytes], name: str, heading: str, problems: Problems) -> Bytes | None:
    """The result of `read`; None, with the error added to `problems`, where it fails."""
    try:
        return read()
    except EdgeSegError as error:
        problems.add_error(name, error, heading)
        return None
