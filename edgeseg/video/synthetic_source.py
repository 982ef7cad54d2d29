"""The synthetic street as a source: frames with known labels, without a file or device."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction

from edgeseg.datasets.labels import CAMVID_LABELS
from edgeseg.errors import UnknownNameError
from edgeseg.spec import size_from_text
from edgeseg.synthetic.camera import StreetCamera
from edgeseg.uri import integer_option, rate_option
from edgeseg.video.address import Address
from edgeseg.video.frame import Frame, Pixels
from edgeseg.video.source import FrameSource, SourceInfo

CACHED_LABELS = 16  # more than the frames in flight of a stream
OPTIONS = ("seed", "size", "width", "height", "fps", "frames")


class SyntheticSource(FrameSource):
    """The frames of a `StreetCamera`; a `GroundTruthSource`. frames: None for an endless source."""

    classes = CAMVID_LABELS

    def __init__(self, camera: StreetCamera, frames: int | None, name: str) -> None:
        self._camera = camera
        self._labels: dict[int, Pixels] = {}
        super().__init__(SourceInfo(camera.width, camera.height, Fraction(camera.fps), frames, name))

    def truth(self, index: int) -> Pixels:
        """The labels of a frame, (H, W) uint8: those of the latest frames are cached, others are rendered again."""
        labels = self._labels.pop(index, None)
        return self._camera.render(index)[1] if labels is None else labels

    def _frames(self) -> Generator[Frame, None, None]:
        index = 0
        while self.info.frames is None or index < self.info.frames:
            rgb, labels = self._camera.render(index)
            self._labels[index] = labels
            self._labels.pop(index - CACHED_LABELS, None)
            yield Frame.from_rgb(index, float(index / self.info.fps), rgb)
            index += 1


def source_from_address(address: Address) -> SyntheticSource:
    """`test://street`. Options: seed (0), width (1024), height (512) or size, fps (25), frames (endless)."""
    if address.place != "street":
        raise UnknownNameError.among("test source", address.place, ["street"])
    address.check_options(OPTIONS)
    options = address.options
    width, height = integer_option(options, "width", 1024), integer_option(options, "height", 512)
    if "size" in options:
        width, height = size_from_text(options["size"])
    seed, fps = integer_option(options, "seed", 0, least=0), rate_option(options, Fraction(25))
    frames = integer_option(options, "frames", 1) if "frames" in options else None
    return SyntheticSource(StreetCamera(seed, width, height, fps), frames, "test://street")
