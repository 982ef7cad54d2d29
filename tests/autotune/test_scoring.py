from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_onnx import frames, street_onnx

from edgeseg.autotune.budget import Budget, cost_from_scores
from edgeseg.autotune.evaluation_set import labelled_evaluation_set
from edgeseg.autotune.scoring import EvaluationImage, Scorer, Scores, images_from_dataset, mious
from edgeseg.autotune.sensitivity import class_ious
from edgeseg.datasets.dataset import Dataset
from edgeseg.evaluation import evaluate
from edgeseg.metrics.confusion import ConfusionMatrix
from edgeseg.segmenter import Segmenter, open_segmenter
from edgeseg.spec import LabelSet


@given(st.integers(0, 1000), st.integers(2, 6))
def test_the_mean_over_classes_is_that_of_the_confusion_matrix(seed: int, classes: int) -> None:
    matrix = ConfusionMatrix(classes)
    rng = np.random.default_rng(seed)
    truth, labels = rng.integers(0, classes, (2, 8, 8), dtype=np.uint8)
    matrix.update(labels, truth)
    assert mious(matrix.counts[None])[0] == pytest.approx(matrix.miou(), abs=1e-12)  # the same sums, in another order


def test_no_pixels_have_no_mean() -> None:
    assert np.isnan(mious(np.zeros((1, 3, 3))))[0]


def scores_of(rights: list[int], classes: int = 2) -> Scores:
    """Images of 100 pixels of class 0; `rights` is the number of right ones in each."""
    counts = np.zeros((len(rights), classes, classes), np.int64)
    counts[:, 0, 0], counts[:, 0, 1] = rights, [100 - right for right in rights]
    return Scores(np.ones(len(rights)), counts)


@settings(max_examples=20)
@given(st.lists(st.integers(1, 100), min_size=2, max_size=20))
def test_an_engine_loses_nothing_against_itself(rights: list[int]) -> None:
    drop = scores_of(rights).drop_from(scores_of(rights))
    assert drop is not None
    assert (drop.value, drop.low, drop.high) == (0, 0, 0)


def test_a_loss_is_positive_and_paired() -> None:
    rights = list(range(40, 90, 5))
    drop = scores_of([right - 2 for right in rights]).drop_from(scores_of(rights))
    assert drop is not None
    assert 0 < drop.low <= drop.value <= drop.high
    assert drop.high - drop.low < 0.01  # unpaired, images of 40 to 85 right pixels would spread it by 0.1 and more


def test_without_labels_agreement_is_the_budget() -> None:
    sure, unsure = (Scores(np.array(shares)) for shares in ([0.995] * 9, [0.999, 0.98] * 5))
    budget = Budget(min_agreement=0.99)
    assert cost_from_scores(sure, sure, budget).is_within
    cost = cost_from_scores(unsure, sure, budget)
    assert not cost.is_within
    assert cost.straddles
    assert "98.95%" in cost.text()
    assert all(value in cost.complaint() for value in ("99.00%", "98.95%", "98.38%", "99.52%"))


@pytest.fixture
def segmenter(tmp_path: Path) -> Segmenter:
    return open_segmenter(street_onnx(tmp_path).path)


def test_the_float_engine_agrees_with_itself(segmenter: Segmenter) -> None:
    images = [EvaluationImage(lambda rgb=rgb: rgb) for rgb in frames(3)]
    scorer = Scorer(images, segmenter, None)
    assert scorer.reference.counts is None
    assert scorer.scores(segmenter).agreement.tolist() == [1, 1, 1]


def test_labels_are_counted_at_their_own_size(segmenter: Segmenter) -> None:
    truth = np.full((50, 70), 255, np.uint8)
    truth[:10] = 3
    images = [EvaluationImage(lambda rgb=rgb: rgb, lambda: truth) for rgb in frames(2)]
    scorer = Scorer(images, segmenter, (11, 255))
    assert scorer.reference.counts is not None
    assert scorer.reference.counts.shape == (2, 11, 11)
    assert scorer.reference.counts.sum(axis=(1, 2)).tolist() == [700, 700]


@dataclass(frozen=True)
class Labelled:
    """A sample."""

    name: str
    image: np.ndarray
    truth: np.ndarray

    def rgb(self) -> np.ndarray:
        return self.image

    def labels(self) -> np.ndarray:
        return self.truth


def test_classes_are_matched_by_name_as_in_eval(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set has the model's classes in another order, and one fewer."""
    names, colours = segmenter.spec.labels.names, segmenter.spec.labels.palette
    own = LabelSet(tuple(reversed(names[1:])), colours[1:])
    rng = np.random.default_rng(0)
    samples = [Labelled(f"{n}", rgb, rng.integers(0, len(own), (32, 64), np.uint8)) for n, rgb in enumerate(frames(30))]
    data = Dataset("other", own, samples)
    monkeypatch.setattr("edgeseg.autotune.evaluation_set.open_dataset", lambda uri: data)
    evaluation_set = labelled_evaluation_set(segmenter.spec, "other", None, 0)
    assert evaluation_set.names == own.names
    scorer = Scorer(images_from_dataset(data), segmenter, evaluation_set.classes, evaluation_set.match)
    counts = scorer.reference.counts
    assert counts is not None
    assert counts.shape == (30, len(own), len(names))
    confusion = evaluate(segmenter, data).metrics["miou"]
    assert np.array_equal(counts.sum(0), confusion.counts)
    assert scorer.reference.miou == pytest.approx(confusion.miou())
    drop = scorer.scores(segmenter).drop_from(scorer.reference)
    assert drop is not None
    assert drop.value == 0
    assert class_ious(counts, *evaluation_set.classes) == pytest.approx(confusion.iou().tolist(), nan_ok=True)


def test_images_are_decoded_once_while_the_cache_has_space(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []

    def image(index: int) -> EvaluationImage:
        return EvaluationImage(lambda: decoded.append(index) or frames(2)[index])  # type: ignore[func-returns-value]

    monkeypatch.setattr("edgeseg.autotune.scoring.CACHE_BYTES", frames(1).nbytes)
    scorer = Scorer([image(0), image(1)], segmenter, None)
    scorer.scores(segmenter)
    assert decoded == [0, 1, 1]
