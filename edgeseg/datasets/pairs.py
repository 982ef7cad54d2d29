"""Images and label files in two folders, paired by name, and random subsets of the pairs: `?limit=50&seed=1`."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from edgeseg.datasets.dataset import Bytes
from edgeseg.datasets.decode import rgb_from_path
from edgeseg.datasets.label_files import LabelReader
from edgeseg.datasets.problems import (
    DUPLICATE_NAMES,
    NO_FOLDER,
    NO_IMAGES,
    SIZES,
    UNPAIRED_IMAGES,
    UNPAIRED_LABELS,
    ContentError,
    Problems,
)
from edgeseg.errors import DataError, FileProblem, UnknownNameError
from edgeseg.files import existing_folder, is_folder
from edgeseg.image import IMAGE_ENDINGS
from edgeseg.uri import integer_option

LABEL_ENDINGS = (".png",)
SUBSET = {"limit": "", "seed": ""}  # options of data sets that consist of files
T = TypeVar("T")


class FilePair:
    """An image and its label file, decoded at each call. name: of both, relative to their folders."""

    def __init__(self, name: str, image: Path, label: Path, reader: LabelReader) -> None:
        self.name, self.image, self.label = name, image, label
        self._reader = reader
        self._size: tuple[int, int] | None = None

    def rgb(self) -> Bytes:
        """(H, W, 3) uint8. FormatError where the file is not an image."""
        rgb = rgb_from_path(self.image)
        self._check_size(rgb)
        return rgb

    def labels(self) -> Bytes:
        """(H, W) uint8 of class ids and the ignore id. DataError for any other id, or another size than the image."""
        labels = self._reader(self.label)
        self._check_size(labels)
        return labels

    def _check_size(self, image: Bytes) -> None:
        """Compare with the size of the file that was decoded before, so that neither is decoded only for this check."""
        H, W = image.shape[:2]
        if self._size not in (None, (H, W)):
            raise ContentError(
                f"image and label differ in size: {self.image} and {self.label}",
                hint="resize the label with nearest neighbour, or remove the pair",
                heading=SIZES,
            )
        self._size = (H, W)


def matched_pairs(
    images: Path,
    labels: Path,
    reader: LabelReader,
    *,
    image_suffix: str = "",
    label_suffix: str = "",
    ignored_suffix: str | None = None,
) -> list[FilePair]:
    """Pairs of images and label files with the same relative path, sorted. DataError, with all files that do not match.

    image_suffix, label_suffix: text between the common name and the ending; files without it are ignored.
    ignored_suffix: label files whose names end with it are ignored.
    """
    problems = Problems()
    label_files = files_by_name(labels, LABEL_ENDINGS, label_suffix, problems)
    image_files = files_by_name(images, IMAGE_ENDINGS, image_suffix, problems)
    all_labels = set(label_files.values())  # images and labels may be in one folder
    image_files = {name: path for name, path in image_files.items() if path not in all_labels}
    if ignored_suffix is not None:
        label_files = {name: path for name, path in label_files.items() if not name.endswith(ignored_suffix)}
    if is_folder(images) and not image_files:
        problems.add(NO_IMAGES, str(images))
    elif is_folder(labels) and image_files:
        add_unpaired(problems, UNPAIRED_IMAGES, image_files, label_files.keys())
        add_unpaired(problems, UNPAIRED_LABELS, label_files, image_files.keys())
    problems.check(f"{images} and {labels}")
    return [FilePair(name, image_files[name], label_files[name], reader) for name in sorted(image_files)]


def files_by_name(folder: Path, endings: tuple[str, ...], suffix: str, problems: Problems) -> dict[str, Path]:
    """The files in `folder` and below, by relative path without suffix and ending; hidden files are ignored."""
    if not is_folder(folder):
        problems.add(NO_FOLDER, str(folder))
        return {}
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.suffix.lower() not in endings or any(part.startswith(".") for part in relative.parts):
            continue
        name = relative.with_suffix("").as_posix()
        if not name.endswith(suffix):
            continue
        name = name.removesuffix(suffix)
        if name in files:
            problems.add(DUPLICATE_NAMES, f"{files[name].name} and {path.name}")
        files[name] = path
    return files


def add_unpaired(problems: Problems, heading: str, files: dict[str, Path], others: Iterable[str]) -> None:
    """Count the `files` without a partner among `others`."""
    for name in sorted(files.keys() - set(others)):
        problems.add(heading, f"{name}{files[name].suffix}")


def data_folder(kind: str, path: str, example: str = "") -> Path:
    """The folder that a URI names."""
    if not path:
        raise FileProblem(f"{kind} needs a folder", hint=f"write {kind}:/path/to/{kind}{example}")
    return existing_folder(Path(path).expanduser())


def check_split(folder: Path, split: str, splits: Iterable[str]) -> None:
    """UnknownNameError where `split` is not among the `splits` of `folder`."""
    splits = sorted(splits)
    if split not in splits:
        raise UnknownNameError.among(f"split of {folder}", split, splits)


def subset(items: Sequence[T], options: Mapping[str, str]) -> list[T]:
    """All of `items`, or `limit` of them, drawn at random with `seed` (0)."""
    limit, seed = options["limit"], options["seed"]
    if seed and not limit:
        message = f"seed={seed} has no effect without limit"
        raise DataError(message, hint=f"write limit=50&seed={seed}", code="ES-MISMATCH-OPTIONS")
    count = integer_option(options, "limit", 50) if limit else None
    return random_subset(items, count, integer_option(options, "seed", 0, least=0) if seed else 0)


def random_subset(items: Sequence[T], limit: int | None, seed: int = 0) -> list[T]:
    """`limit` random `items` in their order; all of them where there are no more, or for None."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[index] for index in sorted(random.Random(seed).sample(range(len(items)), limit))]
