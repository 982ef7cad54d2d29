"""CamVid with its 11 common classes, in folders {split}/{images,labels}; id 11 in a label file is void.

Brostow, Fauqueur, Cipolla, "Semantic object classes in video: a high-definition ground truth database", 2009.
A picture's name begins with its video sequence: 0001TP, 0006R0, 0016E5, Seq05VD.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgeseg.datasets.dataset import Dataset, DatasetKind
from edgeseg.datasets.label_files import IGNORE, IndexReader
from edgeseg.datasets.labels import CAMVID_LABELS
from edgeseg.datasets.pairs import check_split, data_folder, matched_pairs
from edgeseg.datasets.pick import PICK, picked
from edgeseg.errors import DataError, FileProblem

VOID = 11
READER = IndexReader({**{i: i for i in range(len(CAMVID_LABELS))}, VOID: IGNORE, IGNORE: IGNORE})


def open_camvid(name: str, path: str, options: Mapping[str, str]) -> Dataset:
    """One split. sequence, without: keep or drop the file names that start so; several are apart by commas."""
    folder = split_folder(path, options["split"])
    pairs = matched_pairs(folder / "images", folder / "labels", READER)
    kept, dropped = (tuple(options[key].split(",")) if options[key] else () for key in ("sequence", "without"))
    chosen = [
        pair
        for pair in pairs
        if (not kept or pair.name.startswith(kept)) and not (dropped and pair.name.startswith(dropped))
    ]
    if not chosen:
        raise DataError(
            f"no picture of {folder} is left by sequence and without",
            hint=f"file names there look like {pairs[0].name}",
        )
    return Dataset(name=name, labels=CAMVID_LABELS, samples=picked(chosen, options))


def split_folder(path: str, split: str) -> Path:
    """The folder of one split. UnknownNameError where others are there and this one is not."""
    folder = data_folder("camvid", path, "?split=test")
    splits = [below.name for below in folder.iterdir() if (below / "images").is_dir() or (below / "labels").is_dir()]
    if not splits:
        raise FileProblem(f"no CamVid in {folder}", hint="it holds train, val and test, each with images and labels")
    check_split(folder, split, splits)
    return folder / split


KIND = DatasetKind(name="camvid", options={"split": "test", "sequence": "", "without": "", **PICK}, open=open_camvid)
