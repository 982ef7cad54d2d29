"""What a source could not give: a code for programs and a line for people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Loss:
    """One line of a source's warnings.

    code: stable. ES-SOURCE-ENDED is a live source that ended, or a recording that an error ended; then
        ES-SOURCE-CUT-SHORT, -UNDECODABLE, -DAMAGED, -SKIPPED and -AUDIO.
    message: what was lost, with the name of the source and without a password.
    """

    code: str
    message: str
