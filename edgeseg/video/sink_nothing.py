"""A sink that discards results, for measurements of the other stages."""

from __future__ import annotations

from edgeseg.video.address import Address
from edgeseg.video.result import Result
from edgeseg.video.sink import FrameSink, Wants
from edgeseg.video.source import SourceInfo


class NothingSink(FrameSink):
    """Counts results; it needs no overlay."""

    wants: Wants = "prediction"

    def _write(self, result: Result) -> bool:
        return True


def sink_from_address(address: Address, info: SourceInfo | None) -> NothingSink:
    """`null`, without options."""
    address.check_options([])
    return NothingSink("null")
