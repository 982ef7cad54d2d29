"""Cityscapes in its own folders, leftImg8bit/{split}/{city} and gtFine/{split}/{city}, with its 19 evaluated classes.

Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", 2016. It reads the
*_gtFine_labelIds.png files of the data set; *_labelTrainIds.png, which its scripts make from them, are not needed.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgeseg.datasets.dataset import Dataset, DatasetKind
from edgeseg.datasets.label_files import IGNORE, IndexReader
from edgeseg.datasets.labels import CITYSCAPES_LABELS
from edgeseg.datasets.pairs import SUBSET, FilePair, check_split, data_folder, matched_pairs, subset
from edgeseg.errors import FileProblem, UnknownNameError

# The ids of the classes in the label files, in order; the others of 0..33 are void or too rare.
CLASS_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
READER = IndexReader({i: CLASS_IDS.index(i) if i in CLASS_IDS else IGNORE for i in range(34)})


def open_cityscapes(name: str, path: str, options: Mapping[str, str]) -> Dataset:
    """One split, or the cities of it that `city` names, separated by commas."""
    root, split = data_folder("cityscapes", path, "?split=val"), options["split"]
    images, labels = root / "leftImg8bit", root / "gtFine"
    if not images.is_dir() and not labels.is_dir():
        raise FileProblem(
            f"{root} is not Cityscapes", hint="it must have leftImg8bit and gtFine, each with train, val and test"
        )
    check_split(root, split, {below.name for top in (images, labels) if top.is_dir() for below in top.iterdir()})
    pairs = matched_pairs(
        images / split, labels / split, READER, image_suffix="_leftImg8bit", label_suffix="_gtFine_labelIds"
    )
    return Dataset(name=name, labels=CITYSCAPES_LABELS, samples=subset(of_cities(pairs, options["city"]), options))


def of_cities(pairs: list[FilePair], city: str) -> list[FilePair]:
    """The pairs of the named cities; all pairs for ""."""
    names = city.split(",") if city else []
    cities = {pair.name.partition("/")[0] for pair in pairs}
    for name in names:
        if name not in cities:
            raise UnknownNameError.among("city", name, cities)
    return [pair for pair in pairs if not names or pair.name.partition("/")[0] in names]


KIND = DatasetKind(name="cityscapes", options={"split": "val", "city": "", **SUBSET}, open=open_cityscapes)
