"""CamVid with its 11 common classes, in any of the layouts of camvid_layouts.py; void pixels are ignored.

Brostow, Fauqueur, Cipolla, "Semantic object classes in video: a high-definition ground truth database", 2009.
An image's name begins with its video sequence: 0001TP, 0006R0, 0016E5, Seq05VD.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgeseg.datasets.camvid_layouts import LAYOUTS, SPLIT, listed_names
from edgeseg.datasets.dataset import Dataset, DatasetKind
from edgeseg.datasets.labels import CAMVID_LABELS
from edgeseg.datasets.pairs import SUBSET, FilePair, check_split, data_folder, matched_pairs, subset
from edgeseg.errors import DataError, FileProblem


def open_camvid(name: str, path: str, options: Mapping[str, str]) -> Dataset:
    """One split. sequence, without: only, or no, file names with these prefixes, separated by commas."""
    folder = data_folder("camvid", path, "?split=test")
    pairs = pairs_of_split(folder, options["split"])
    only, without = (tuple(filter(None, options[key].split(","))) for key in ("sequence", "without"))
    chosen = [pair for pair in pairs if pair.name.startswith(only or "") and not pair.name.startswith(without)]
    if not chosen:
        raise DataError(
            f"sequence and without exclude every image of {folder}", hint=f"file names are like {pairs[0].name}"
        )
    return Dataset(name=name, labels=CAMVID_LABELS, samples=subset(chosen, options))


def pairs_of_split(folder: Path, split: str) -> list[FilePair]:
    """The pairs of the first layout that fits `folder`. UnknownNameError where the split does not exist."""
    layout = next((each for each in LAYOUTS if each.splits(folder)), None)
    if layout is None:
        layouts = ", or ".join(each.description() for each in LAYOUTS)
        raise FileProblem(f"{folder} is not CamVid", hint=f"images and label files must be in {layouts}")
    check_split(folder, split, layout.splits(folder))
    images, labels = (folder / place.replace(SPLIT, split) for place in (layout.images, layout.labels))
    pairs = matched_pairs(images, labels, layout.reader, label_suffix=layout.label_suffix)
    names = listed_names(folder, split)
    if names is None:
        return pairs
    if missing := sorted(names - {pair.name for pair in pairs}):
        raise DataError(
            f"{folder / split}.txt lists {len(missing)} images that are not in {images}: {', '.join(missing[:3])}",
            hint="add these images and their label files, or remove them from the list",
        )
    return [pair for pair in pairs if pair.name in names]


KIND = DatasetKind(name="camvid", options={"split": "test", "sequence": "", "without": "", **SUBSET}, open=open_camvid)
