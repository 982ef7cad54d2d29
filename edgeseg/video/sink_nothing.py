"""The sink that throws results away: for measuring what comes before it."""

from __future__ import annotations

from typing import ClassVar

from edgeseg.video.address import Address
from edgeseg.video.result import Result
from edgeseg.video.sink import FrameSink, Wants
from edgeseg.video.source import SourceInfo


class NothingSink(FrameSink):
    """Counts results; no overlay is made for it."""

    wants: ClassVar[Wants] = "prediction"

    def _write(self, result: Result) -> bool:
        return True


def sink_from_address(address: Address, info: SourceInfo) -> NothingSink:
    """`null`; it takes no options."""
    address.check_options([])
    return NothingSink("null")
