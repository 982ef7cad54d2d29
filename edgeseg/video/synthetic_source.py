"""The synthetic street as a source: frames whose labels are known, and no file or device needed."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction

from edgeseg.datasets.labels import CAMVID_LABELS
from edgeseg.errors import UnknownNameError
from edgeseg.spec import size_from_text
from edgeseg.synthetic.camera import StreetCamera
from edgeseg.video.address import Address
from edgeseg.video.frame import Frame, Pixels
from edgeseg.video.source import FrameSource, SourceInfo

KEPT = 16  # frames whose labels are at hand: more than a stream has under way
OPTIONS = ("seed", "size", "width", "height", "fps", "frames")


class SyntheticSource(FrameSource):
    """The frames of a `StreetCamera`, a `GroundTruthSource`. frames: None never ends."""

    classes = CAMVID_LABELS

    def __init__(self, camera: StreetCamera, frames: int | None, name: str) -> None:
        self._camera = camera
        self._labels: dict[int, Pixels] = {}
        super().__init__(SourceInfo(camera.width, camera.height, Fraction(camera.fps), frames, name))

    def truth(self, index: int) -> Pixels:
        """The labels of a frame, (H, W) uint8: those of the latest frames are kept, others are drawn again."""
        labels = self._labels.pop(index, None)
        return self._camera.render(index)[1] if labels is None else labels

    def _frames(self) -> Generator[Frame, None, None]:
        index = 0
        while self.info.frames is None or index < self.info.frames:
            rgb, labels = self._camera.render(index)
            self._labels[index] = labels
            self._labels.pop(index - KEPT, None)
            yield Frame.from_rgb(index, float(index / self.info.fps), rgb)
            index += 1


def source_from_address(address: Address) -> SyntheticSource:
    """`test://street`; options: seed (0), width (1024), height (512) or size, fps (25), frames (never ends)."""
    if address.place != "street":
        raise UnknownNameError.among("test source", address.place, ["street"])
    address.check_options(OPTIONS)
    width, height = address.whole("width", 1024), address.whole("height", 512)
    if "size" in address.options:
        width, height = size_from_text(address.options["size"])
    camera = StreetCamera(address.whole("seed", 0, least=0), width, height, address.rate(Fraction(25)))
    frames = address.whole("frames", 1) if "frames" in address.options else None
    return SyntheticSource(camera, frames, "test://street")
