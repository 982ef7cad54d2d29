from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_onnx import SPEC, float_onnx, frames

import edgeseg
from edgeseg.datasets.dataset import Dataset
from edgeseg.errors import MismatchError
from edgeseg.evaluate import evaluate
from edgeseg.segmenter import Segmenter
from edgeseg.spec import LabelSet


class Sample:
    """A picture whose truth is what `labels` says."""

    def __init__(self, name: str, rgb: np.ndarray, labels: np.ndarray) -> None:
        self.name, self._rgb, self._labels = name, rgb, labels

    def rgb(self) -> np.ndarray:
        return self._rgb

    def labels(self) -> np.ndarray:
        return self._labels


@pytest.fixture
def segmenter(tmp_path: Path) -> Segmenter:
    return edgeseg.open(float_onnx(tmp_path).path, threads=1)


def test_its_own_masks_are_perfect_at_the_labels_size(segmenter: Segmenter) -> None:
    size = (20, 30)
    samples = [Sample(str(i), rgb, segmenter.segment(rgb, size).labels) for i, rgb in enumerate(frames(3))]
    steps: list[tuple[str, int, int | None]] = []
    result = evaluate(segmenter, Dataset("own", SPEC.labels, samples), progress=lambda *step: steps.append(step))
    assert result.confusion.miou() == 1.0
    assert result.confusion.counts.sum() == 3 * 20 * 30
    assert result.latency["total"].n == 3
    assert steps == [("evaluate", i, 3) for i in (1, 2, 3)]
    record = result.to_dict()
    assert record["images"] == 3
    assert record["miou"] == 1.0


def test_wrong_and_ignored_pixels_count_as_such(segmenter: Segmenter) -> None:
    rgb = frames(1)[0]
    mask = segmenter.segment(rgb).labels
    truth = mask.copy()
    truth[:8] = 255
    truth[8:16] = (mask[8:16] + 1) % 5
    confusion = evaluate(segmenter, Dataset("x", SPEC.labels, [Sample("0", rgb, truth)])).confusion
    assert confusion.counts.sum() == truth[8:].size
    assert confusion.pixel_accuracy() == pytest.approx(16 / 24)


def test_a_data_set_with_other_classes_is_refused(segmenter: Segmenter) -> None:
    other = LabelSet(("x", "y"), ((0, 0, 0), (1, 1, 1)))
    with pytest.raises(MismatchError) as caught:
        evaluate(segmenter, Dataset("two", other, []))
    assert caught.value.message == "small knows 5 classes (a, ...), and two has 2 (x, ...)"
