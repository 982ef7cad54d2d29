"""A folder of numbered images as a sink."""

from __future__ import annotations

import re
from pathlib import Path

import cv2

from edgeseg.errors import FormatError, UnknownNameError
from edgeseg.files import whole_file, writable_folder
from edgeseg.image import IMAGE_ENDINGS
from edgeseg.video.address import Address
from edgeseg.video.frame import Frame
from edgeseg.video.sink import FrameSink
from edgeseg.video.source import SourceInfo

NUMBER = re.compile(r"%0?\d*d")


class ImagesSink(FrameSink):
    """Writes each frame to a file of its own, numbered with the frame's index; files of that name are replaced."""

    def __init__(self, pattern: Path, size: tuple[int, int] | None) -> None:
        super().__init__(str(pattern), size)
        self._pattern = pattern

    def _write(self, frame: Frame) -> bool:
        path = self._pattern.with_name(NUMBER.sub(lambda number: number[0] % frame.index, self._pattern.name))
        _, data = cv2.imencode(path.suffix, cv2.cvtColor(frame.rgb(), cv2.COLOR_RGB2BGR))
        with whole_file(path) as partial:
            partial.write_bytes(data.tobytes())
        return True


def sink_from_address(address: Address, info: SourceInfo, size: tuple[int, int] | None) -> ImagesSink:
    """A folder, which gets 000000.png and so on, or a pattern such as `out/%06d.jpg`; it takes no options."""
    address.check_options([])
    path = Path(address.place)
    is_folder = path.is_dir() or not path.suffix or address.place.endswith(("/", "\\"))
    pattern = path / "%06d.png" if is_folder else path
    if pattern.suffix.lower() not in IMAGE_ENDINGS:
        raise UnknownNameError.among("image ending", pattern.suffix, IMAGE_ENDINGS)
    if len(NUMBER.findall(pattern.name)) != 1:
        hint = f"write {pattern.with_name(pattern.stem + '-%06d' + pattern.suffix)}"
        raise FormatError(f"every frame would be written to the same image: {path}", hint=hint)
    writable_folder(pattern.parent)
    return ImagesSink(pattern, size)
