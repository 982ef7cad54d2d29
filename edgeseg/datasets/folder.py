"""Two folders of pictures and label files; what they hold says a dataset.toml (edgeseg/datasets/definition.py)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgeseg.datasets.dataset import Dataset, DatasetKind
from edgeseg.datasets.definition import FILE, Definition, definition_from_file
from edgeseg.datasets.pairs import data_folder, matched_pairs
from edgeseg.datasets.pick import PICK, picked
from edgeseg.errors import DataError, UnknownNameError

SPLIT = "{split}"


def open_folder(name: str, path: str, options: Mapping[str, str]) -> Dataset:
    """All pairs, or those of one split. path: the folder with dataset.toml, or such a file of another name."""
    given = Path(path).expanduser()
    file = given if path.endswith(".toml") else data_folder("folder", path) / FILE
    definition = definition_from_file(file)
    split = split_of(definition, file, options["split"])
    images, labels = (file.parent / place.replace(SPLIT, split) for place in (definition.images, definition.labels))
    pairs = matched_pairs(
        images,
        labels,
        definition.reader,
        image_suffix=definition.image_suffix,
        label_suffix=definition.label_suffix,
    )
    told = name.replace("folder:", f"folder:{definition.name}", 1)
    return Dataset(name=told, labels=definition.classes, samples=picked(pairs, options), files=definition.files)


def split_of(definition: Definition, file: Path, split: str) -> str:
    """The split that is asked for; a single one need not be named."""
    if SPLIT not in definition.images + definition.labels:
        if split:
            raise DataError(f"{file} knows no splits", hint='write images = "images/{split}", or leave out split=')
        return ""
    if split and definition.splits and split not in definition.splits:
        raise UnknownNameError.among(f"split of {file}", split, definition.splits)
    if not split and len(definition.splits) != 1:
        known = ", ".join(definition.splits) or "not listed"
        raise DataError(f"no split is named, and the splits of {file} are {known}", hint="write ?split=NAME")
    return split or definition.splits[0]


KIND = DatasetKind(name="folder", options={"split": "", **PICK}, open=open_folder)
