"""Pictures and label files in two folders, paired by name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edgeseg.datasets.dataset import Bytes
from edgeseg.datasets.decode import rgb_from_path
from edgeseg.datasets.label_files import LabelReader
from edgeseg.datasets.problems import (
    LONELY_LABELS,
    LONELY_PICTURES,
    NO_FOLDER,
    NO_PICTURES,
    SAME_NAME,
    SIZES,
    ContentError,
    Problems,
)
from edgeseg.errors import FileProblem, UnknownNameError
from edgeseg.files import existing_folder, is_folder
from edgeseg.image import IMAGE_ENDINGS

LABEL_ENDINGS = (".png",)


class FilePair:
    """A picture and its label file, decoded anew at each call. name: of both, below their folders."""

    def __init__(self, name: str, image: Path, label: Path, reader: LabelReader) -> None:
        self.name, self.image, self.label = name, image, label
        self._reader = reader
        self._size: tuple[int, int] | None = None

    def rgb(self) -> Bytes:
        """(H, W, 3) uint8. FormatError where the file is no picture."""
        rgb = rgb_from_path(self.image)
        self._check_size(rgb)
        return rgb

    def labels(self) -> Bytes:
        """(H, W) uint8 of class ids and the ignore id. DataError for any other id, or a size unlike the picture's."""
        labels = self._reader(self.label)
        self._check_size(labels)
        return labels

    def _check_size(self, image: Bytes) -> None:
        """Hold a decoded file against the one decoded before: neither is read for the other's sake."""
        H, W = image.shape[:2]
        if self._size not in (None, (H, W)):
            raise ContentError(
                f"picture and label differ in size: {self.image} and {self.label}",
                hint="resize the label with nearest neighbour, or leave the pair out",
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
    passed_over: str | None = None,
) -> list[FilePair]:
    """Picture and label file by their path below the two folders, sorted. DataError, with all that does not match.

    image_suffix, label_suffix: what stands between the common name and the ending; files without it are passed over.
    passed_over: label files whose names end so are no label files.
    """
    problems = Problems()
    truths = files_by_name(labels, LABEL_ENDINGS, label_suffix, problems)
    taken = set(truths.values())
    found = files_by_name(images, IMAGE_ENDINGS, image_suffix, problems)
    pictures = {name: path for name, path in found.items() if path not in taken}
    if passed_over is not None:
        truths = {name: path for name, path in truths.items() if not name.endswith(passed_over)}
    if is_folder(images) and not pictures:
        problems.add(NO_PICTURES, str(images))
    elif is_folder(labels) and pictures:
        add_lonely(problems, LONELY_PICTURES, pictures, truths.keys())
        add_lonely(problems, LONELY_LABELS, truths, pictures.keys())
    problems.check(f"{images} and {labels}")
    return [FilePair(name, pictures[name], truths[name], reader) for name in sorted(pictures)]


def files_by_name(folder: Path, endings: tuple[str, ...], suffix: str, problems: Problems) -> dict[str, Path]:
    """The files in `folder` and below, by their path in it without suffix and ending; hidden ones are passed over."""
    if not is_folder(folder):
        problems.add(NO_FOLDER, str(folder))
        return {}
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.suffix.lower() not in endings or any(part.startswith(".") for part in inside.parts):
            continue
        name = inside.with_suffix("").as_posix()
        if not name.endswith(suffix):
            continue
        name = name.removesuffix(suffix)
        if name in found:
            problems.add(SAME_NAME, f"{found[name].name} and {path.name}")
        found[name] = path
    return found


def add_lonely(problems: Problems, heading: str, some: dict[str, Path], others: Iterable[str]) -> None:
    """Count those of `some` that have no partner among `others`."""
    for name in sorted(some.keys() - set(others)):
        problems.add(heading, f"{name}{some[name].suffix}")


def data_folder(kind: str, path: str, example: str = "") -> Path:
    """The folder that a URI names."""
    if not path:
        raise FileProblem(f"{kind} needs its folder", hint=f"write {kind}:/path/to/{kind}{example}")
    return existing_folder(Path(path).expanduser())


def check_split(folder: Path, split: str, splits: Iterable[str]) -> None:
    """UnknownNameError where `split` is none of the `splits` that `folder` holds."""
    splits = sorted(splits)
    if split not in splits:
        raise UnknownNameError.among(f"split of {folder}", split, splits)
