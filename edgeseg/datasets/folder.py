"""Two folders of images and label files, described by a dataset.toml (edgeseg/datasets/definition.py)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgeseg.datasets.dataset import Dataset, DatasetKind
from edgeseg.datasets.definition import FILE, Definition, definition_from_file
from edgeseg.datasets.pairs import SUBSET, data_folder, matched_pairs, subset
from edgeseg.errors import DataError, UnknownNameError

SPLIT = "{split}"


def open_folder(name: str, path: str, options: Mapping[str, str]) -> Dataset:
    """All pairs, or those of one split. path: the folder of dataset.toml, or a .toml file with another name."""
    file = Path(path).expanduser() if path.endswith(".toml") else data_folder("folder", path) / FILE
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
    full_name = name.replace("folder:", f"folder:{definition.name}", 1)
    return Dataset(name=full_name, labels=definition.classes, samples=subset(pairs, options), files=definition.files)


def split_of(definition: Definition, file: Path, split: str) -> str:
    """The split; optional where there is only one."""
    if SPLIT not in definition.images + definition.labels:
        if split:
            raise DataError(f"{file} has no splits", hint='write images = "images/{split}", or omit split=')
        return ""
    if split and definition.splits and split not in definition.splits:
        raise UnknownNameError.among(f"split of {file}", split, definition.splits)
    if not split and len(definition.splits) != 1:
        known = ", ".join(definition.splits) or "not listed"
        raise DataError(f"no split given; the splits of {file} are {known}", hint="write ?split=NAME")
    return split or definition.splits[0]


KIND = DatasetKind(name="folder", options={"split": "", **SUBSET}, open=open_folder)
