from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_onnx import SPEC, float_onnx, frames

import edgeseg
from edgeseg.datasets.dataset import Dataset
from edgeseg.errors import MismatchError
from edgeseg.evaluation import evaluate
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
    assert result.metrics["miou"].miou() == 1.0
    assert result.metrics["miou"].counts.sum() == 3 * 20 * 30
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
    confusion = evaluate(segmenter, Dataset("x", SPEC.labels, [Sample("0", rgb, truth)])).metrics["miou"]
    assert confusion.counts.sum() == truth[8:].size
    assert confusion.pixel_accuracy() == pytest.approx(16 / 24)


def test_a_data_set_with_other_classes_is_refused(segmenter: Segmenter) -> None:
    other = LabelSet(("x", "y"), ((0, 0, 0), (1, 1, 1)))
    with pytest.raises(MismatchError) as caught:
        evaluate(segmenter, Dataset("two", other, []))
    assert caught.value.code == "ES-MISMATCH"
    assert "--labels FILE" in caught.value.hint


def labels_of(names: str) -> LabelSet:
    return LabelSet(tuple(names), ((0, 0, 0),) * len(names))


def test_classes_in_another_order_are_matched_by_name(segmenter: Segmenter) -> None:
    rgb = frames(1)[0]
    mask = segmenter.segment(rgb).labels
    truth = np.array(["abcde".index(name) for name in "edcba"], np.uint8)[mask]  # ids of the data set
    result = evaluate(segmenter, Dataset("turned", labels_of("edcba"), [Sample("0", rgb, truth)]))
    assert result.to_dict()["miou"] == 1.0
    assert result.names == tuple("edcba")


def test_a_class_that_only_the_model_has_is_wrong_where_it_is_predicted(segmenter: Segmenter) -> None:
    """The labels know no c: what the model calls c is labelled a, or not at all."""
    rgb = frames(1)[0]
    mask = segmenter.segment(rgb).labels
    truth = np.array([0, 1, 0, 2, 3], np.uint8)[mask]
    truth[:4] = 255
    counted, c = truth != 255, mask == 2
    result = evaluate(segmenter, Dataset("four", labels_of("abde"), [Sample("0", rgb, truth)]))
    record = result.to_dict()
    assert set(record["iou"]) == set("abde")
    assert record["extra_pixels"] == {"c": int((counted & c).sum())}
    assert record["extra_pixels"]["c"] > 0
    assert record["pixel_accuracy"] == pytest.approx(1 - (counted & c).sum() / counted.sum())
    others = [record["iou"][name] for name in "bde" if record["iou"][name] is not None]
    assert others == [1.0] * len(others), "what is called c takes nothing from the other classes"
    expected = [*others, (counted & (mask == 0)).sum() / (counted & ((mask == 0) | c)).sum()]
    assert record["miou"] == pytest.approx(np.mean(expected)), "and is no class of the mean"


def test_a_model_that_lacks_some_classes_is_refused(segmenter: Segmenter) -> None:
    with pytest.raises(MismatchError) as caught:
        evaluate(segmenter, Dataset("more", labels_of("abcdef"), []))
    assert caught.value.code == "ES-MISMATCH"
    assert "f" in caught.value.message
    assert "ignore" in caught.value.hint


def test_several_metrics_at_once_and_a_class_without_truth(segmenter: Segmenter) -> None:
    rgb = frames(1)[0]
    mask = segmenter.segment(rgb).labels
    seen = int(np.unique(mask)[0])
    truth = np.where(mask == seen, (seen + 1) % 5, mask).astype(np.uint8)
    data = Dataset("x", SPEC.labels, [Sample("0", rgb, truth)])
    record = evaluate(segmenter, data, metrics=["miou", "boundary", "agreement"]).to_dict()
    assert record["iou"]["abcde"[seen]] == 0.0
    occurring = [record["iou"]["abcde"[label]] for label in np.unique(truth)]
    assert record["miou_of_true_classes"] == pytest.approx(np.mean(occurring))
    assert record["miou_of_true_classes"] > record["miou"]
    assert record["agreement"] == record["pixel_accuracy"]
    assert 0 <= record["mean_boundary_f"] <= 1


def test_a_metric_of_video_takes_the_pairs_of_neighbouring_frames(segmenter: Segmenter) -> None:
    rgb = frames(2)
    masks = [np.array(segmenter.segment(each).labels) for each in rgb]
    truth = masks[0]
    samples = [Sample(f"a_{number}", rgb[which], truth) for number, which in ((1, 0), (2, 0), (3, 1), (9, 0))]
    result = evaluate(segmenter, Dataset("x", SPEC.labels, samples), metrics=["flicker", "miou"])
    changed = np.count_nonzero(masks[0] != masks[1])
    assert changed > 0
    assert result.frame_pairs == 2  # the last frame has no neighbour
    assert result.to_dict()["flicker"] == pytest.approx(changed / (2 * truth.size))
    assert result.labelled_pixels == 4 * truth.size
    assert result.to_dict()["images"] == 4
