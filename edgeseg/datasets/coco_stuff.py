"""COCO-Stuff, 171 classes: images and label files in `images` and `labels`, or in the official folders.

Caesar, Uijlings, Ferrari, "COCO-Stuff: Thing and Stuff Classes in Context", 2018. Official: images/{split}2017 and
stuffthingmaps/{split}2017 or annotations/{split}2017. A label file has the official id less one, 255 where unlabelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgeseg.datasets.coco_stuff_names import OFFICIAL_NAMES, UNUSED_NAMES
from edgeseg.datasets.dataset import Dataset, DatasetKind
from edgeseg.datasets.label_files import IGNORE, IndexReader
from edgeseg.datasets.labels import COCO_STUFF_LABELS
from edgeseg.datasets.pairs import check_split, data_folder, matched_pairs
from edgeseg.datasets.pick import PICK, picked
from edgeseg.errors import DataError, FileProblem

LABEL_FOLDERS = ("labels", "stuffthingmaps", "annotations")
MAPPED = "_labelTrainIds"  # files that mmsegmentation's converter leaves beside the official ones

USED = [i for i, name in enumerate(OFFICIAL_NAMES) if name not in UNUSED_NAMES]
READER = IndexReader({i: USED.index(i) if i in USED else IGNORE for i in range(len(OFFICIAL_NAMES))} | {IGNORE: IGNORE})


def open_coco_stuff(name: str, path: str, options: Mapping[str, str]) -> Dataset:
    """One split, `val` or `val2017`; it need not be named where the folders hold no splits, or a single one."""
    root = data_folder("coco_stuff", path, "?split=val")
    labels = next((root / below for below in LABEL_FOLDERS if (root / below).is_dir()), root / LABEL_FOLDERS[0])
    images = root / "images"
    if not images.is_dir() and not labels.is_dir():
        raise FileProblem(
            f"no COCO-Stuff in {root}", hint=f"it holds images, and label files in {' or '.join(LABEL_FOLDERS)}"
        )
    split = split_of(images if images.is_dir() else labels, options["split"])
    pairs = matched_pairs(images / split, labels / split, READER, passed_over=MAPPED)
    return Dataset(name=name, labels=COCO_STUFF_LABELS, samples=picked(pairs, options))


def split_of(folder: Path, split: str) -> str:
    """The folder of `split` below `folder`; "" where there are none and none is asked for."""
    splits = sorted(below.name for below in folder.iterdir() if below.is_dir() and not below.name.startswith("."))
    if split:
        split = split if split in splits else f"{split}2017" if f"{split}2017" in splits else split
        check_split(folder, split, splits)
        return split
    if len(splits) > 1:
        raise DataError(f"{folder} has the splits {', '.join(splits)}", hint=f"write ?split={splits[-1]}")
    return splits[0] if splits else ""


KIND = DatasetKind(name="coco_stuff", options={"split": "", **PICK}, open=open_coco_stuff)
