"""Cityscapes in its own folders, leftImg8bit/{split}/{city} and gtFine/{split}/{city}, with its 19 judged classes.

Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", 2016. The *_gtFine_labelIds.png files
are read, which come with the data set; *_labelTrainIds.png, which its scripts make from them, are not needed.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgeseg.datasets.dataset import Dataset, DatasetKind
from edgeseg.datasets.label_files import IGNORE, IndexReader
from edgeseg.datasets.labels import CITYSCAPES_LABELS
from edgeseg.datasets.pairs import FilePair, check_split, data_folder, matched_pairs
from edgeseg.datasets.pick import PICK, picked
from edgeseg.errors import FileProblem, UnknownNameError

# Which ids of the label files are judged, in the order of the classes; the others of 0..33 are void or too rare.
JUDGED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
READER = IndexReader({i: JUDGED.index(i) if i in JUDGED else IGNORE for i in range(34)})


def open_cityscapes(name: str, path: str, options: Mapping[str, str]) -> Dataset:
    """One split, and of it the cities that `city` names, apart by commas."""
    root, split = data_folder("cityscapes", path, "?split=val"), options["split"]
    images, labels = root / "leftImg8bit", root / "gtFine"
    if not images.is_dir() and not labels.is_dir():
        raise FileProblem(
            f"no Cityscapes in {root}", hint="it holds leftImg8bit and gtFine, each with train, val and test"
        )
    check_split(root, split, {below.name for top in (images, labels) if top.is_dir() for below in top.iterdir()})
    pairs = matched_pairs(
        images / split, labels / split, READER, image_suffix="_leftImg8bit", label_suffix="_gtFine_labelIds"
    )
    return Dataset(name=name, labels=CITYSCAPES_LABELS, samples=picked(of_cities(pairs, options["city"]), options))


def of_cities(pairs: list[FilePair], city: str) -> list[FilePair]:
    """The pairs of the cities that are named; all of them for ""."""
    wanted = city.split(",") if city else []
    cities = {pair.name.partition("/")[0] for pair in pairs}
    for one in wanted:
        if one not in cities:
            raise UnknownNameError.among("city", one, cities)
    return [pair for pair in pairs if not wanted or pair.name.partition("/")[0] in wanted]


KIND = DatasetKind(name="cityscapes", options={"split": "val", "city": "", **PICK}, open=open_cityscapes)
