"""Cityscapes: its layout, its ids, its cities."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_datasets import cityscapes

from edgeseg.datasets import open_dataset
from edgeseg.datasets.labels import CITYSCAPES_LABELS
from edgeseg.errors import DataError, UnknownNameError


def test_label_ids_become_train_ids(tmp_path: Path) -> None:
    first = open_dataset(cityscapes(tmp_path))[0]
    assert first.name == "lindau/lindau_000000_000019"
    assert first.labels().ravel()[:6].tolist() == [0, 13, 18, 255, 255, 255]


def test_the_classes_are_the_official_ones() -> None:
    assert (len(CITYSCAPES_LABELS), CITYSCAPES_LABELS.names[0], CITYSCAPES_LABELS.names[18]) == (19, "road", "bicycle")
    assert CITYSCAPES_LABELS.palette[CITYSCAPES_LABELS.names.index("car")] == (0, 0, 142)


def test_cities_are_chosen(tmp_path: Path) -> None:
    uri = cityscapes(tmp_path)
    assert [len(open_dataset(f"{uri}?city={city}")) for city in ("lindau", "munster", "lindau,munster")] == [2, 1, 3]
    assert open_dataset(f"{uri}?city=munster").name == "cityscapes:?split=val&city=munster"
    with pytest.raises(UnknownNameError, match=r"minster.*munster"):
        open_dataset(f"{uri}?city=minster")
    with pytest.raises(UnknownNameError, match="vall"):
        open_dataset(f"{uri}?split=vall")


def test_what_is_lost_is_listed(tmp_path: Path) -> None:
    uri = cityscapes(tmp_path)
    shutil.rmtree(tmp_path / "gtFine/val/munster")
    next((tmp_path / "leftImg8bit/val/lindau").glob("*_000001_*")).unlink()
    with pytest.raises(DataError) as caught:
        open_dataset(uri)
    assert caught.value.message.endswith(
        "images without a label file: 1 (munster/munster_000002_000019.png); "
        "label files without an image: 1 (lindau/lindau_000001_000019.png)"
    )
    shutil.rmtree(tmp_path / "gtFine")
    with pytest.raises(DataError, match=r": 1 \(.*gtFine/val\)"):
        open_dataset(uri)


def test_an_id_that_cityscapes_does_not_have(tmp_path: Path) -> None:
    uri = cityscapes(tmp_path)
    train_ids = next((tmp_path / "gtFine").rglob("*labelTrainIds.png"))
    shutil.copy(train_ids, str(train_ids).replace("labelTrainIds", "labelIds"))
    broken = next(sample for sample in open_dataset(uri) if Path(sample.name).name in train_ids.name)
    with pytest.raises(DataError) as caught:
        broken.labels()
    assert "255" in caught.value.message
    assert "7..8, 11..13, 17, 19..28, 31..33, and 0" in caught.value.hint


def test_the_real_ones_agree_with_the_shipped_train_ids(edgeseg_data: Path) -> None:
    """The two kinds of files were drawn from the polygons each by itself: borders differ by a pixel, nothing else."""
    root = edgeseg_data / "cityscapes"
    dataset = open_dataset(f"cityscapes:{root}")
    assert len(dataset) == 4
    for sample in dataset:
        labels = sample.labels()
        shipped = cv2.imread(str(root / f"gtFine/val/{sample.name}_gtFine_labelTrainIds.png"), cv2.IMREAD_UNCHANGED)
        assert sample.rgb().shape == (1024, 2048, 3)
        around = np.ones((3, 3), np.uint8)
        border = cv2.dilate(labels, around) != cv2.erode(labels, around)
        assert np.array_equal(labels[~border], shipped[~border])
        assert (labels != shipped).mean() < 0.005  # 0.29 to 0.37 % of the pixels of these four
        assert set(np.unique(labels)) == set(np.unique(shipped))
