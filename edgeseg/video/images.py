"""Image files as a source."""

from __future__ import annotations

import dataclasses
import glob
import re
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path

from edgeseg.errors import DataError, EdgeSegError
from edgeseg.files import existing_file, files_in_folder
from edgeseg.image import IMAGE_ENDINGS, rgb_from_file
from edgeseg.uri import flag_option, rate_option
from edgeseg.video.address import Address
from edgeseg.video.frame import Frame, Pixels
from edgeseg.video.source import FrameSource, Loss, SourceInfo


class ImagesSource(FrameSource):
    """The images of a folder (without subfolders) or of a glob, or one image; `img2` comes before `img10`.

    Sizes may differ; images are rotated by their EXIF orientation. Frame n has the time n / fps.
    skip_errors: skip images that cannot be read and report them in `losses`; otherwise the first one is an error.
    """

    def __init__(self, place: str, fps: Fraction, *, skip_errors: bool = False) -> None:
        self._paths = image_paths(place)
        self._skip_errors = skip_errors
        self._start, first = self._first_readable(place)
        self._first: Pixels | None = first
        height, width = first.shape[:2]
        super().__init__(SourceInfo(width, height, fps, len(self._paths), place))

    def files(self) -> tuple[Path, ...]:
        """The images."""
        return tuple(self._paths)

    def _first_readable(self, place: str) -> tuple[int, Pixels]:
        """The index and pixels of the first readable image."""
        for number, path in enumerate(self._paths):
            try:
                return number, rgb_from_file(path)
            except EdgeSegError:
                if not self._skip_errors:
                    raise
        raise DataError(f"none of the {len(self._paths)} images in {place} is readable", hint="write them again as PNG")

    def _frames(self) -> Generator[Frame, None, None]:
        problems: list[EdgeSegError] = []
        try:
            for number, path in enumerate(self._paths):
                try:
                    rgb = self._image(number, path)
                except EdgeSegError as problem:
                    if not self._skip_errors:
                        raise
                    problems.append(problem)
                    continue
                index = number - len(problems)
                self.info = dataclasses.replace(self.info, width=rgb.shape[1], height=rgb.shape[0])
                yield Frame.from_rgb(index, float(index / self.info.fps), rgb, sequence=number, name=path.name)
        finally:
            if problems:
                self.losses.append(self._skipped(problems))

    def _image(self, number: int, path: Path) -> Pixels:
        if number == self._start and self._first is not None:
            first, self._first = self._first, None
            return first
        return rgb_from_file(path)

    def _skipped(self, problems: list[EdgeSegError]) -> Loss:
        count = f"{len(problems)} of {len(self._paths)} images were skipped"
        return Loss("ES-SOURCE-SKIPPED", f"{self.info.name}: {count}; the first one: {problems[0].message}")


def image_paths(place: str) -> list[Path]:
    """The images of a folder, glob or path, in natural order. DataError where there are none."""
    folder = Path(place)
    if folder.is_dir():
        paths = [path for path in files_in_folder(folder) if path.suffix.lower() in IMAGE_ENDINGS]
    elif any(mark in place for mark in "*?[") and not folder.exists():
        paths = [Path(path) for path in glob.glob(place, recursive=True)]  # noqa: PTH207 - absolute or not
    else:
        paths = [existing_file(folder)]
    paths = [path for path in paths if path.is_file() and not path.name.startswith(".")]
    if not paths:
        raise DataError(f"no images in {place}", hint=f"supported endings: {', '.join(IMAGE_ENDINGS)}")
    return sorted(paths, key=_natural)


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    parts = re.split(r"([0-9]+)", str(path))
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def source_from_address(address: Address) -> ImagesSource:
    """The images at a folder, glob or path. Options: fps (25), skip_errors (0)."""
    address.check_options(["fps", "skip_errors"])
    return ImagesSource(
        address.place,
        rate_option(address.options, Fraction(25)),
        skip_errors=flag_option(address.options, "skip_errors"),
    )
