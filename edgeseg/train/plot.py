"""Images of a training in progress: curves of loss and mIoU, and masks beside their ground truth."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.datasets.dataset import Sample
from edgeseg.files import whole_file
from edgeseg.pixels.contact import contact_sheet
from edgeseg.pixels.overlay import overlay_labels
from edgeseg.spec import LabelSet
from edgeseg.train.log import Row

Array = NDArray[np.uint8]
PAGE_WIDTH = 1200
OPACITY = 0.7


def draw_curves(path: Path, rows: Sequence[Row], title: str) -> bool:
    """Loss, and mIoU in percent where it was measured, over the steps, as a PNG. False without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.add_subplot(title=title, xlabel="step", ylabel="loss")
    axes.plot([row.step for row in rows], [row.loss for row in rows], color="tab:blue", label="loss")
    validated = [row for row in rows if not math.isnan(row.val_miou)]
    if validated:
        right = axes.twinx()
        right.set_ylabel("val mIoU, %")
        right.plot(
            [row.step for row in validated],
            [100 * row.val_miou for row in validated],
            "o-",
            color="tab:orange",
            label="mIoU",
        )
    figure.legend(loc="outside upper right")
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=100)
    return True


def draw_samples(
    path: Path, samples: Sequence[Sample], predict: Callable[[Array, tuple[int, int]], Array], labels: LabelSet
) -> None:
    """A PNG with one row per sample: image, ground truth, prediction."""
    palette = np.array(labels.palette, np.uint8)
    cells = []
    for sample in samples:
        rgb, truth = sample.rgb(), sample.labels()
        predicted = predict(rgb, (truth.shape[0], truth.shape[1]))
        masks = [overlay_labels(rgb, mask, palette, opacity=OPACITY) for mask in (truth, predicted)]
        cells += [captioned(rgb, sample.name), captioned(masks[0], "truth"), captioned(masks[1], "predicted")]
    page = contact_sheet(cells, 3, PAGE_WIDTH, labels.colors())
    with whole_file(path) as partial:
        partial.write_bytes(cv2.imencode(".png", cv2.cvtColor(page, cv2.COLOR_RGB2BGR))[1].tobytes())


def captioned(rgb: Array, text: str) -> Array:
    """A copy of `rgb` with a line of text on a dark strip in its upper left corner."""
    size, font = 0.8 * rgb.shape[1] / 640, cv2.FONT_HERSHEY_SIMPLEX
    (width, height), baseline = cv2.getTextSize(text, font, size, 1)
    image = np.ascontiguousarray(rgb).copy()
    cv2.rectangle(image, (0, 0), (width + height, height + 2 * baseline), (0, 0, 0), cv2.FILLED)
    cv2.putText(image, text, (height // 2, height + baseline), font, size, (255, 255, 255), 1, cv2.LINE_AA)
    return image
