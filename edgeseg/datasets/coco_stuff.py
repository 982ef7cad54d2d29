"""COCO-Stuff, 171 classes: images and label files in `images` and `labels`, or in the official folders.

Caesar, Uijlings, Ferrari, "COCO-Stuff: Thing and Stuff Classes in Context", 2018. Official: images/{split}2017 and
stuffthingmaps/{split}2017 or annotations/{split}2017. Label files have the official id minus one, 255 where unlabelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgeseg.datasets.coco_stuff_names import OFFICIAL_NAMES, UNUSED_NAMES
from edgeseg.datasets.dataset import Dataset, DatasetKind
from edgeseg.datasets.label_files import IGNORE, IndexReader
from edgeseg.datasets.labels import COCO_STUFF_LABELS
from edgeseg.datasets.pairs import SUBSET, check_split, data_folder, matched_pairs, subset
from edgeseg.errors import DataError, FileProblem

LABEL_FOLDERS = ("labels", "stuffthingmaps", "annotations")
CONVERTED = "_labelTrainIds"  # files that mmsegmentation's converter writes beside the official ones

USED = [i for i, name in enumerate(OFFICIAL_NAMES) if name not in UNUSED_NAMES]
READER = IndexReader({i: USED.index(i) if i in USED else IGNORE for i in range(len(OFFICIAL_NAMES))} | {IGNORE: IGNORE})


def open_coco_stuff(name: str, path: str, options: Mapping[str, str]) -> Dataset:
    """One split, `val` or `val2017`; optional where the folders have at most one."""
    root = data_folder("coco_stuff", path, "?split=val")
    labels = next((root / entry for entry in LABEL_FOLDERS if (root / entry).is_dir()), root / LABEL_FOLDERS[0])
    images = root / "images"
    if not images.is_dir() and not labels.is_dir():
        raise FileProblem(
            f"{root} is not COCO-Stuff", hint=f"it must have images, and label files in {' or '.join(LABEL_FOLDERS)}"
        )
    split = split_of(images if images.is_dir() else labels, options["split"])
    pairs = matched_pairs(images / split, labels / split, READER, ignored_suffix=CONVERTED)
    return Dataset(name=name, labels=COCO_STUFF_LABELS, samples=subset(pairs, options))


def split_of(folder: Path, split: str) -> str:
    """The folder of `split` below `folder`; "" where there are none and `split` is ""."""
    splits = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if split:
        split = split if split in splits else f"{split}2017" if f"{split}2017" in splits else split
        check_split(folder, split, splits)
        return split
    if len(splits) > 1:
        raise DataError(f"{folder} has the splits {', '.join(splits)}", hint=f"write ?split={splits[-1]}")
    return splits[0] if splits else ""


KIND = DatasetKind(name="coco_stuff", options={"split": "", **SUBSET}, open=open_coco_stuff)
