"""What a data set holds: every file is read once, counted, and listed where it cannot be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.datasets.dataset import Bytes, Dataset, Sample
from edgeseg.datasets.problems import LABELS, PICTURES, Problems
from edgeseg.errors import EdgeSegError
from edgeseg.progress import Progress, silent
from edgeseg.spec import LabelSet

IDS = 256


@dataclass(frozen=True)
class Survey:
    """What `survey_dataset` found.

    readable: the samples without problems, which alone are counted.
    sizes: (H, W) -> how many. pixels, images: (256,) int64, of each id how many pixels and in how many images.
    """

    labels: LabelSet
    readable: Sequence[Sample]
    sizes: Counter[tuple[int, int]]
    pixels: NDArray[np.int64]
    images: NDArray[np.int64]
    problems: Problems

    def shares(self) -> NDArray[np.float64]:
        """(classes,) of all pixels, those that are not judged among them; 0 where there are none."""
        return np.asarray(self.pixels[: len(self.labels)] / max(1, self.pixels.sum()))

    def ignored(self) -> float:
        """The share of all pixels that is not judged."""
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
    """Read `samples` of `dataset`. What cannot be used is no error here: it is in `problems`."""
    problems, sizes, readable = Problems(), Counter[tuple[int, int]](), []
    pixels, images = np.zeros(IDS, np.int64), np.zeros(IDS, np.int64)
    for done, sample in enumerate(samples, 1):
        rgb = tried(sample.rgb, sample.name, PICTURES, problems)
        labels = tried(sample.labels, sample.name, LABELS, problems)
        if rgb is not None and labels is not None:
            counts = np.bincount(labels.ravel(), minlength=IDS)
            pixels += counts
            images += counts > 0
            sizes[labels.shape[0], labels.shape[1]] += 1
            readable.append(sample)
        progress("read", done, len(samples))
    return Survey(dataset.labels, readable, sizes, pixels, images, problems)


def tried(read: Callable[[], Bytes], name: str, heading: str, problems: Problems) -> Bytes | None:
    """What `read` gives, or None, its error counted."""
    try:
        return read()
    except EdgeSegError as error:
        problems.add_error(name, error, heading)
        return None
