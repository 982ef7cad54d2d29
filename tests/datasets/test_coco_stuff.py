"""COCO-Stuff: its 171 classes, and the layouts that it comes in."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from small_datasets import coco_stuff, gradient, ids_in_turn, write_png

from edgeseg.datasets import open_dataset
from edgeseg.datasets.coco_stuff_names import OFFICIAL_NAMES, UNUSED_NAMES
from edgeseg.datasets.labels import COCO_STUFF_LABELS
from edgeseg.errors import DataError, UnknownNameError

NEVER_DRAWN = [11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90]  # as BiSeNet's and mmsegmentation's data sets list them


def test_names_are_the_official_ones_without_those_never_drawn() -> None:
    assert (len(OFFICIAL_NAMES), len(set(OFFICIAL_NAMES)), len(COCO_STUFF_LABELS)) == (182, 182, 171)
    assert [i for i, name in enumerate(OFFICIAL_NAMES) if name in UNUSED_NAMES] == NEVER_DRAWN
    names = COCO_STUFF_LABELS.names
    assert (names[0], names[11], names[79], names[80], names[170]) == (
        "person", "stop sign", "toothbrush", "banner", "wood",
    )  # fmt: skip
    assert len(set(COCO_STUFF_LABELS.palette)) == 171
    assert (0, 0, 0) not in COCO_STUFF_LABELS.palette


def test_ids_become_classes(tmp_path: Path) -> None:
    first = open_dataset(coco_stuff(tmp_path))[0]
    assert first.labels().ravel()[:5].tolist() == [0, 11, 80, 170, 255]


def test_ids_that_were_never_drawn_are_not_judged_and_others_are_refused(tmp_path: Path) -> None:
    write_png(tmp_path / "images/1.png", gradient())
    write_png(tmp_path / "labels/1.png", ids_in_turn(*NEVER_DRAWN))
    (sample,) = open_dataset(f"coco_stuff:{tmp_path}")
    assert set(np.unique(sample.labels())) == {255}
    write_png(tmp_path / "labels/1.png", ids_in_turn(0, 182))
    with pytest.raises(DataError, match="182"):
        sample.labels()


@pytest.mark.parametrize("folder", ["labels", "annotations", "stuffthingmaps"])
def test_split_is_named_where_there_are_several(tmp_path: Path, folder: str) -> None:
    coco_stuff(tmp_path)
    if folder != "stuffthingmaps":
        (tmp_path / "stuffthingmaps").rename(tmp_path / folder)
    uri = f"coco_stuff:{tmp_path}"
    assert len(open_dataset(uri)) == len(open_dataset(f"{uri}?split=val2017")) == 3
    for below in ("images", folder):
        shutil.copytree(tmp_path / below / "val2017", tmp_path / below / "train2017")
    with pytest.raises(DataError, match=r"train2017, val2017"):
        open_dataset(uri)
    assert len(open_dataset(f"{uri}?split=train")) == 3
    with pytest.raises(UnknownNameError, match=r"trian.*train2017"):
        open_dataset(f"{uri}?split=trian")


def test_the_real_ones(edgeseg_data: Path) -> None:
    dataset = open_dataset(f"coco_stuff:{edgeseg_data}/coco_stuff")
    assert len(dataset) == 8
    sizes = set()
    for sample in dataset:
        labels = sample.labels()
        assert sample.rgb().shape[:2] == labels.shape
        assert {int(i) for i in np.unique(labels)} <= {*range(171), 255}
        sizes.add(labels.shape)
    assert len(sizes) == 7
