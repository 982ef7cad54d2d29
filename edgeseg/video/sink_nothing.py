"""The sink that throws frames away: for measuring what comes before it."""

from __future__ import annotations

from typing import ClassVar

from edgeseg.video.address import Address
from edgeseg.video.frame import Frame
from edgeseg.video.sink import FrameSink
from edgeseg.video.source import SourceInfo


class NothingSink(FrameSink):
    """Counts frames; makes no RGB of them."""

    shows: ClassVar[bool] = False

    def _write(self, frame: Frame) -> bool:
        return True


def sink_from_address(address: Address, info: SourceInfo, size: tuple[int, int] | None) -> NothingSink:
    """`null`; it takes no options."""
    address.check_options([])
    return NothingSink("null", size)
