"""How two engines differ on the same images, and the images of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_onnx import SPEC, float_onnx, frames, small_model, street_onnx

import edgeseg
from edgeseg.artifact import Artifact, write_onnx
from edgeseg.autotune.label_changes import BETTER, OTHER, UNKNOWN, WORSE
from edgeseg.bench.diff import EngineDiff, EnginePair, engine_diff, images_from_dataset, images_from_rgbs
from edgeseg.bench.difference_sheet import difference_sheet, panels_of, write_difference_images
from edgeseg.datasets.dataset import Dataset
from edgeseg.errors import DataError, MismatchError
from edgeseg.segmenter import Segmenter
from edgeseg.spec import LabelSet, ModelSpec

RGBS = frames(4)


class Sample:
    def __init__(self, name: str, rgb: np.ndarray, labels: np.ndarray) -> None:
        self.name, self._rgb, self._labels = name, rgb, labels

    def rgb(self) -> np.ndarray:
        return self._rgb

    def labels(self) -> np.ndarray:
        return self._labels


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Segmenter, Segmenter]]:
    """Two nets with the classes a to e and other weights."""
    folder = tmp_path_factory.mktemp("diff")
    first, second = float_onnx(folder), Artifact(folder / "other.onnx", SPEC)
    write_onnx(small_model(seed=1), second)
    with edgeseg.open(first.path, threads=1) as a, edgeseg.open(second.path, threads=1) as b:
        yield a, b


def masks(segmenter: Segmenter) -> list[np.ndarray]:
    return [np.array(segmenter.segment(rgb).labels) for rgb in RGBS]


def diff_of(pair: tuple[Segmenter, Segmenter], **options: int) -> EngineDiff:
    return engine_diff(EnginePair(*pair), images_from_rgbs(RGBS), **options)  # type: ignore[arg-type]


def test_an_engine_is_equal_to_itself(engines: tuple[Segmenter, Segmenter]) -> None:
    diff = diff_of((engines[0], engines[0]))
    assert (diff.agreement.value, diff.miou) == (1.0, 1.0)
    assert all(figures == {"agreement": 1.0, "iou": 1.0} for figures in diff.by_class().values())
    assert diff.change is None
    assert diff.flicker is None


def test_the_figures_are_those_of_the_masks(engines: tuple[Segmenter, Segmenter]) -> None:
    diff, (a, b) = diff_of(engines), (np.stack(masks(each)) for each in engines)
    assert diff.by_image.tolist() == pytest.approx([(x == y).mean() for x, y in zip(a, b)])
    assert diff.agreement.value == pytest.approx((a == b).mean())
    for label, name in enumerate("abcde"):
        both, either = ((a == label) & (b == label)).sum(), ((a == label) | (b == label)).sum()
        if either:
            figures = diff.by_class()[name]
            assert figures["iou"] == pytest.approx(both / either)
            of_a = (a == label).sum()
            assert figures["agreement"] == (pytest.approx(both / of_a) if of_a else None)
    turned = diff_of(engines[::-1])  # type: ignore[arg-type]
    assert (turned.agreement, turned.miou) == (diff.agreement, pytest.approx(diff.miou))


def test_classes_are_matched_by_name(engines: tuple[Segmenter, Segmenter], tmp_path: Path) -> None:
    """The same net, its classes named in another order, and one of another name."""
    renamed = ModelSpec(name="renamed", input=SPEC.input, labels=LabelSet(tuple("edcbx"), SPEC.labels.palette))
    write_onnx(small_model(), Artifact(tmp_path / "renamed.onnx", renamed))
    with edgeseg.open(tmp_path / "renamed.onnx", threads=1) as b:
        pair = EnginePair(engines[0], b)
        assert pair.names == tuple("abcdex")
        labels = pair.labels(next(iter(images_from_rgbs(RGBS))))
    assert np.array_equal(labels.b, np.array([4, 3, 2, 1, 5])[labels.a])


def test_models_without_a_common_class_are_refused(engines: tuple[Segmenter, Segmenter], tmp_path: Path) -> None:
    with edgeseg.open(street_onnx(tmp_path).path, threads=1) as street, pytest.raises(MismatchError) as refused:
        EnginePair(engines[0], street)
    assert refused.value.code == "ES-MISMATCH-CLASSES"


def test_without_images_there_is_an_error(engines: tuple[Segmenter, Segmenter]) -> None:
    with pytest.raises(DataError) as empty:
        engine_diff(EnginePair(*engines), [])
    assert empty.value.code == "ES-DATA-EMPTY"


def labelled(engines: tuple[Segmenter, Segmenter]) -> Dataset:
    """The truth is what A says, but for a row that has none."""
    truths = masks(engines[0])
    for truth in truths:
        truth[0] = 255
    return Dataset("own", SPEC.labels, [Sample(f"x{i}", *pair) for i, pair in enumerate(zip(RGBS, truths))])


def test_with_truth_the_accuracy_of_both_is_known(engines: tuple[Segmenter, Segmenter]) -> None:
    dataset = labelled(engines)
    diff = engine_diff(EnginePair(*engines, dataset), images_from_dataset(dataset))
    assert diff.change is not None
    assert (diff.change.a, diff.change.data, diff.change.images) == (1.0, "own", 4)
    assert diff.change.b < 0.9
    data = json.loads(json.dumps(diff.to_dict()))
    assert data["truth"]["a"] == 1.0
    assert data["images"] == 4


def test_the_images_that_differ_most_are_kept_the_worst_first(engines: tuple[Segmenter, Segmenter]) -> None:
    diff = diff_of(engines, worst=2)
    order = np.argsort(diff.by_image, kind="stable")[:2]
    assert [image.name for image in diff.worst] == [f"{number:06d}" for number in order]
    assert [image.agreement for image in diff.worst] == sorted(diff.by_image)[:2]
    assert diff_of(engines).worst == ()
    assert len(diff_of(engines, worst=99).worst) == 4


def test_the_frames_of_a_video_have_flicker(engines: tuple[Segmenter, Segmenter]) -> None:
    diff = diff_of(engines, is_video=True)
    assert diff.flicker is not None
    assert [each.to_dict()["pairs"] for each in diff.flicker] == [3, 3]
    assert set(diff.to_dict()["flicker"]) == {"a", "b"}


def test_the_panels_mark_who_is_right(engines: tuple[Segmenter, Segmenter]) -> None:
    dataset = labelled(engines)
    pair = EnginePair(*engines, dataset)
    (image,) = engine_diff(pair, images_from_dataset(dataset), worst=1).worst
    original, a, b, difference = panels_of(image, pair)
    np.testing.assert_array_equal(original, image.labels.rgb)
    assert not np.array_equal(a, b)
    differ = image.labels.a != image.labels.b
    colours = {tuple(colour) for colour in difference[1:][differ[1:]].tolist()}
    assert colours == {WORSE}, "A is always right"
    assert {tuple(colour) for colour in difference[0][differ[0]].tolist()} <= {UNKNOWN}
    plain = {tuple(colour) for colour in difference[~differ].tolist()}
    assert not plain & {WORSE, BETTER, OTHER, UNKNOWN}


def test_images_and_a_sheet_are_written(engines: tuple[Segmenter, Segmenter], tmp_path: Path) -> None:
    diff, pair = diff_of(engines, worst=2), EnginePair(*engines)
    paths = write_difference_images(tmp_path / "out", diff.worst, pair)
    assert [path.name for path in paths] == [
        f"01-{diff.worst[0].name}.png",
        f"02-{diff.worst[1].name}.png",
        "sheet.png",
    ]
    one, sheet = (cv2.imread(str(path)) for path in paths[::2])
    assert one.shape[1] == sheet.shape[1] > 4 * 64
    assert sheet.shape[0] > one.shape[0]
    assert write_difference_images(tmp_path / "none", (), pair) == []


def test_a_sheet_is_one_call(engines: tuple[Segmenter, Segmenter], tmp_path: Path) -> None:
    diff = difference_sheet(tmp_path / "record.diff.png", *engines, RGBS, count=3)
    assert len(diff.worst) == 3
    assert cv2.imread(str(tmp_path / "record.diff.png")).shape[0] > 3 * 32
    difference_sheet(tmp_path / "data.diff.png", *engines, labelled(engines), count=1)
    assert (tmp_path / "data.diff.png").exists()
