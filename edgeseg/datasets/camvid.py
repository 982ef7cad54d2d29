"""CamVid with its 11 common classes, in any of the layouts of camvid_layouts.py; what is void is not judged.

Brostow, Fauqueur, Cipolla, "Semantic object classes in video: a high-definition ground truth database", 2009.
An image's name begins with its video sequence: 0001TP, 0006R0, 0016E5, Seq05VD.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgeseg.datasets.camvid_layouts import LAYOUTS, SPLIT, listed_names
from edgeseg.datasets.dataset import Dataset, DatasetKind
from edgeseg.datasets.labels import CAMVID_LABELS
from edgeseg.datasets.pairs import FilePair, check_split, data_folder, matched_pairs
from edgeseg.datasets.pick import PICK, picked
from edgeseg.errors import DataError, FileProblem


def open_camvid(name: str, path: str, options: Mapping[str, str]) -> Dataset:
    """One split. sequence, without: keep or drop the file names that start so; several are apart by commas."""
    folder = data_folder("camvid", path, "?split=test")
    pairs = pairs_of_split(folder, options["split"])
    kept, dropped = (tuple(options[key].split(",")) if options[key] else () for key in ("sequence", "without"))
    chosen = [
        pair
        for pair in pairs
        if (not kept or pair.name.startswith(kept)) and not (dropped and pair.name.startswith(dropped))
    ]
    if not chosen:
        raise DataError(
            f"no image of {folder} is left by sequence and without",
            hint=f"file names there look like {pairs[0].name}",
        )
    return Dataset(name=name, labels=CAMVID_LABELS, samples=picked(chosen, options))


def pairs_of_split(folder: Path, split: str) -> list[FilePair]:
    """The pairs in the first layout that `folder` has. UnknownNameError where it has other splits than this one."""
    layout, splits = next(((each, found) for each in LAYOUTS if (found := each.splits(folder))), (None, set[str]()))
    if layout is None:
        wanted = ", or ".join(each.description() for each in LAYOUTS)
        raise FileProblem(f"no CamVid in {folder}", hint=f"it holds images and label files in {wanted}")
    check_split(folder, split, splits)
    images, labels = (folder / place.replace(SPLIT, split) for place in (layout.images, layout.labels))
    pairs = matched_pairs(images, labels, layout.reader, label_suffix=layout.label_suffix)
    names = listed_names(folder, split)
    if names is None:
        return pairs
    if strange := sorted(names - {pair.name for pair in pairs}):
        raise DataError(
            f"{folder / split}.txt lists {len(strange)} images that are not in {images}: {', '.join(strange[:3])}",
            hint="add these images and their label files, or take them off the list",
        )
    return [pair for pair in pairs if pair.name in names]


KIND = DatasetKind(name="camvid", options={"split": "test", "sequence": "", "without": "", **PICK}, open=open_camvid)
