"""Folders of images as a video."""

from __future__ import annotations

import glob
import re
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path

from edgeseg.errors import DataError, SizeError
from edgeseg.files import existing_file
from edgeseg.image import IMAGE_ENDINGS, rgb_from_file
from edgeseg.video.address import Address
from edgeseg.video.frame import Frame, Pixels
from edgeseg.video.source import FrameSource, SourceInfo


class ImagesSource(FrameSource):
    """The images of a folder (not of those below it), of a glob, or one image; `img2` comes before `img10`.

    All of one size, turned as their EXIF says. Frame n is shown at n / fps.
    """

    def __init__(self, place: str, fps: Fraction) -> None:
        self._paths = image_paths(place)
        self._first: Pixels | None = rgb_from_file(self._paths[0])
        height, width = self._first.shape[:2]
        super().__init__(SourceInfo(width, height, fps, len(self._paths), place))

    def files(self) -> tuple[Path, ...]:
        """The images."""
        return tuple(self._paths)

    def _frames(self) -> Generator[Frame, None, None]:
        for index, path in enumerate(self._paths):
            first, self._first = self._first, None
            rgb = rgb_from_file(path) if first is None else first
            height, width = rgb.shape[:2]
            if (width, height) != (self.info.width, self.info.height):
                raise SizeError(
                    f"{path} is {width}x{height}, the images before it {self.info.width}x{self.info.height}",
                    hint="resize it, or put images of each size into a folder of their own",
                )
            yield Frame.from_rgb(index, float(index / self.info.fps), rgb, name=path.name)


def image_paths(place: str) -> list[Path]:
    """The images that a folder, glob or path names, in natural order. DataError where there are none."""
    folder = Path(place)
    if folder.is_dir():
        paths = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_ENDINGS]
    elif any(mark in place for mark in "*?[") and not folder.exists():
        paths = [Path(path) for path in glob.glob(place, recursive=True)]  # noqa: PTH207 - absolute or not
    else:
        paths = [existing_file(folder)]
    paths = [path for path in paths if path.is_file() and not path.name.startswith(".")]
    if not paths:
        raise DataError(f"no images in {place}", hint=f"put images there: {', '.join(IMAGE_ENDINGS)}")
    return sorted(paths, key=_natural)


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    parts = re.split(r"([0-9]+)", str(path))
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def source_from_address(address: Address) -> ImagesSource:
    """The images at a folder, glob or path; option: fps (25)."""
    address.check_options(["fps"])
    return ImagesSource(address.place, address.rate(Fraction(25)))
