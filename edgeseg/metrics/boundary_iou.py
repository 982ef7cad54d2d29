"""The boundary IoU: the IoU of the bands along the outlines, where a large object hides its errors from IoU.

Cheng, Girshick, Dollár, Berg, Kirillov, "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation", CVPR
2021. The paper takes masks of objects; here a mask is all pixels of one class in an image, and three things follow:

* The band of a class holds its pixels whose Euclidean distance to a counted pixel of another class is at most 2% of the
  image's diagonal. The border of the image and ignored pixels are no outline, because they are none of the scene.
* Pixels are summed over the data set before the division, as for mIoU.
* The mean is over the classes that have a band in truth or prediction.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgeseg.metrics.boundary import Bools, BoundaryCounts, near
from edgeseg.metrics.metric import (
    Figures,
    Labels,
    Metric,
    MetricResult,
    check_shapes,
    mean_of_known,
    means_of_known,
    share,
    true_pixels,
)

DIAGONAL_SHARE = 0.02  # the paper's distance, as a share of the image's diagonal


class BoundaryIou(BoundaryCounts):
    """Pixels of the bands, counted by class.

    radius: the width of the bands in pixels; 2% of each image's diagonal unless given.
    counts: (2, num_classes) int64: pixels in both bands, and in one of them at least.
    """

    rows: ClassVar[int] = 2
    diagonal_share: ClassVar[float] = DIAGONAL_SHARE

    def update(self, labels: Labels, truth: Labels) -> None:
        """Add one image; see `Metric.update`."""
        check_shapes(labels, truth)
        self.pixels += true_pixels(truth, self.num_classes, self.ignore_index)
        counted = truth != self.ignore_index
        radius = self.radius_in(truth)
        for label in range(self.num_classes):
            ours, theirs = (band(ids == label, counted, radius) for ids in (labels, truth))
            self.counts[:, label] += (np.count_nonzero(ours & theirs), np.count_nonzero(ours | theirs))

    def result(self) -> MetricResult:
        """overall: "mean_boundary_iou"; by_class: "boundary_iou", nan without a band."""
        ious = share(*self.counts)
        return MetricResult(self.pixels.copy(), {"mean_boundary_iou": mean_of_known(ious)}, {"boundary_iou": ious})

    @staticmethod
    def main_figure(sums: NDArray[Any]) -> Figures:
        """The mean boundary IoU; see `Metric.main_figure`."""
        return means_of_known(share(sums[..., 0, :], sums[..., 1, :]))


def band(mask: Bools, counted: Bools, radius: float) -> Bools:
    """(H, W): the counted pixels of `mask` that are at most `radius` from a counted pixel outside it."""
    inside, outside = mask & counted, counted & ~mask
    if not inside.any() or not outside.any():
        return np.zeros_like(inside)
    return inside & near(outside, radius)


METRIC: type[Metric] = BoundaryIou
