"""A mask in every form that it is handed on in: nothing is lost on the way."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from small_onnx import CLASSES, SPEC

from edgeseg.errors import DataError, MismatchError, UnavailableError
from edgeseg.predictions import DECODERS, Prediction, SemanticMask, decoder_for
from edgeseg.predictions.semantic import semantic_mask
from edgeseg.spec import ModelSpec, Output, Task

NAMES = SPEC.labels.names
masks = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, CLASSES - 1)
).map(lambda labels: SemanticMask(labels, SPEC.labels))


def labels_from_rle(rle: dict[str, dict[str, Any]], shape: tuple[int, int]) -> np.ndarray:
    """The labels again, from COCO's uncompressed run lengths."""
    labels = np.full(shape, 255, np.uint8)
    for name, runs in rle.items():
        inside = np.repeat(np.arange(len(runs["counts"])) % 2, runs["counts"]).astype(bool)
        assert tuple(runs["size"]) == shape
        labels[inside.reshape(shape, order="F")] = NAMES.index(name)
    return labels


def labels_from_polygons(mask: SemanticMask) -> np.ndarray:
    """The labels again, from outlines whose pixels belong to the region."""
    labels = np.full(mask.size, 255, np.uint8)
    for name, polygons in mask.polygons().items():
        for polygon in polygons:
            inside = np.zeros(mask.size, np.uint8)
            cv2.fillPoly(inside, [polygon.outer], 1)
            for hole in polygon.holes:
                cv2.fillPoly(inside, [hole], 0)
                cv2.polylines(inside, [hole], isClosed=True, color=1)
            labels[inside == 1] = NAMES.index(name)
    return labels


@given(mask=masks)
def test_run_lengths_give_the_labels_again(mask: SemanticMask) -> None:
    assert np.array_equal(labels_from_rle(mask.to_rle(), mask.size), mask.labels)


@given(mask=masks)
def test_polygons_give_the_labels_again(mask: SemanticMask) -> None:
    assert np.array_equal(labels_from_polygons(mask), mask.labels)


@given(mask=masks)
def test_a_saved_mask_is_read_by_other_readers(mask: SemanticMask, tmp_path_factory: pytest.TempPathFactory) -> None:
    pil = pytest.importorskip("PIL.Image")
    path = mask.save(tmp_path_factory.mktemp("mask") / "mask.png")
    with pil.open(io.BytesIO(path.read_bytes())) as image:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), mask.labels)
        palette = np.array(image.getpalette()[: 3 * CLASSES]).reshape(-1, 3)
    assert np.array_equal(palette, mask.palette)


def test_a_mask_says_its_shares_and_plain_data() -> None:
    labels = np.zeros((4, 8), np.uint8)
    labels[:, :2] = 3
    mask = SemanticMask(labels, SPEC.labels)
    data = mask.to_dict()
    assert (data["task"], data["size"]) == ("semantic", [4, 8])
    assert data["shares"] == {"a": 0.75, "b": 0.0, "c": 0.0, "d": 0.25, "e": 0.0}
    assert data["rle"] == {"a": {"size": [4, 8], "counts": [8, 24]}, "d": {"size": [4, 8], "counts": [0, 8, 24]}}


def test_saving_leaves_nothing_behind_where_it_fails(tmp_path: Path) -> None:
    (tmp_path / "mask.png").mkdir()
    mask = SemanticMask(np.zeros((2, 2), np.uint8), SPEC.labels)
    with pytest.raises(Exception) as caught:
        mask.save(tmp_path / "mask.png")
    assert getattr(caught.value, "code", "") == "ES-FILE-KIND"
    assert [path.name for path in tmp_path.iterdir()] == ["mask.png"]


def test_an_opacity_outside_of_0_to_1_is_refused() -> None:
    mask = SemanticMask(np.zeros((2, 2), np.uint8), SPEC.labels)
    with pytest.raises(DataError):
        mask.render(np.zeros((2, 2, 3), np.uint8), opacity=1.5)


@pytest.mark.parametrize("task", Task)
def test_each_task_has_a_decoder_or_says_that_it_has_none(task: Task) -> None:
    spec = ModelSpec(SPEC.name, SPEC.input, SPEC.labels, task=task)
    if task not in DECODERS:
        with pytest.raises(UnavailableError) as caught:
            decoder_for(spec, Output.LOGITS)
        assert caught.value.code == "ES-TASK"
        return
    prediction = decoder_for(spec, Output.LOGITS).prediction_from_outputs(
        {"logits": np.random.default_rng(0).normal(size=(CLASSES, 4, 8)).astype(np.float32)}, (9, 17)
    )
    assert isinstance(prediction, Prediction)
    assert prediction.size == (9, 17)
    assert prediction.to_dict()["task"] == str(task)
    rgb = np.full((5, 7, 3), 9, np.uint8)
    assert prediction.render(rgb).shape == rgb.shape
    assert np.array_equal(prediction.render(rgb, opacity=0.0), rgb)


def test_what_is_no_mask_is_not_taken_for_one() -> None:
    class Nothing(Prediction):
        size = (1, 1)

        def render(self, rgb: np.ndarray, *, opacity: float = 0.5) -> np.ndarray:
            return rgb

        def to_dict(self) -> dict[str, Any]:
            return {}

        def save(self, path: str | Path) -> Path:
            return Path(path)

    with pytest.raises(MismatchError) as caught:
        semantic_mask(Nothing())
    assert caught.value.code == "ES-TASK"
