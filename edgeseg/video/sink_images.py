"""Image files as sinks: one overlay or one label image per frame."""

from __future__ import annotations

import re
from pathlib import Path

import cv2

from edgeseg.errors import FormatError, UnknownNameError
from edgeseg.files import whole_file, writable_folder
from edgeseg.image import IMAGE_ENDINGS
from edgeseg.video.address import Address
from edgeseg.video.frame import Frame
from edgeseg.video.result import Result
from edgeseg.video.sink import FrameSink, Wants
from edgeseg.video.source import SourceInfo

NUMBER = re.compile(r"%0?\d*d")
MASK_ENDINGS = (".png",)  # lossless, with a palette


class ImagesSink(FrameSink):
    """Writes each overlay to its own file.

    place: a folder, where files have the name of the input image, else the frame's index; or a path with a number in
    its name (`out/%06d.jpg`); or the path of one image.
    """

    def __init__(self, place: Path, *, is_folder: bool) -> None:
        super().__init__(str(place), place)
        self._place, self._is_folder = place, is_folder
        self._named: set[Path] = set()  # of frames with names, which may recur; a number never does

    def would_overwrite(self) -> list[Path]:
        """The images of the folder, or those that the pattern names."""
        if self._is_folder:
            entries = self._place.iterdir() if self._place.is_dir() else iter(())
            return sorted(path for path in entries if path.suffix.lower() in IMAGE_ENDINGS)
        name = re.compile(NUMBER.sub(r"\\d+", re.escape(self._place.name)))
        entries = self._place.parent.iterdir() if self._place.parent.is_dir() else iter(())
        return sorted(path for path in entries if name.fullmatch(path.name))

    def files(self) -> tuple[Path, ...]:
        """The folder, or the one image."""
        if not self.frames_written:
            return ()
        return (self._place if self._is_folder or not NUMBER.search(self._place.name) else self._place.parent,)

    def _write(self, result: Result) -> bool:
        path = self._path(result.frame)
        self._save(result, path)
        if result.frame.name:
            self._named.add(path)
        return True

    def _save(self, result: Result, path: Path) -> None:
        assert result.overlay is not None  # `wants` asks for it
        _, data = cv2.imencode(path.suffix, cv2.cvtColor(result.overlay, cv2.COLOR_RGB2BGR))
        with whole_file(path) as partial:
            partial.write_bytes(data.tobytes())

    def _path(self, frame: Frame) -> Path:
        """The file for `frame`; never one that this run has written."""
        if not self._is_folder:
            return self._place.with_name(NUMBER.sub(lambda number: number[0] % frame.index, self._place.name))
        path = self._place / f"{Path(frame.name).stem if frame.name else f'{frame.index:06d}'}.png"
        return path if path not in self._named else path.with_name(f"{path.stem}-{frame.index:06d}.png")


class MasksSink(ImagesSink):
    """Writes each prediction as a label image: for a semantic mask a PNG of class ids with the palette."""

    wants: Wants = "prediction"

    def _save(self, result: Result, path: Path) -> None:
        result.prediction.save(path)


def sink_from_address(address: Address, info: SourceInfo | None) -> ImagesSink:
    """A folder, a pattern such as `out/%06d.jpg`, or one image for a source of one frame; without options."""
    address.check_options([])
    path = Path(address.place)
    is_folder = path.is_dir() or not path.suffix or address.place.endswith(("/", "\\"))
    endings = MASK_ENDINGS if address.kind == "masks" else IMAGE_ENDINGS
    if not is_folder and path.suffix.lower() not in endings:
        raise UnknownNameError.among("image ending", path.suffix, endings)
    if not is_folder and len(NUMBER.findall(path.name)) != 1 and not (info and info.frames == 1):
        hint = f"write {path.with_name(path.stem + '-%06d' + path.suffix)}"
        raise FormatError(f"every frame would be written to the same image: {path}", hint=hint)
    writable_folder(path if is_folder else path.parent)
    return (MasksSink if address.kind == "masks" else ImagesSink)(path, is_folder=is_folder)
