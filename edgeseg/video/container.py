"""An FFmpeg container: opened from an address, or the error that says why not."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av

from edgeseg.errors import FileProblem, FormatError
from edgeseg.files import existing_file
from edgeseg.video.address import Address
from edgeseg.video.failure import Failure, message_of

VIDEO_HINT = "name a video file (.mp4, .mkv, .avi, .mov, .webm), a folder of images or a camera"


def open_container(address: Address, timeout_seconds: float, clock: Callable[[], float] = time.monotonic) -> Any:
    """The opened container. A URL that says nothing for `timeout_seconds` is an error (ES-SOURCE-TIMEOUT)."""
    if not address.is_url:
        return _open_file(address.place)
    began = clock()
    try:
        return av.open(address.place, timeout=timeout_seconds)
    except (av.FFmpegError, OSError) as problem:
        # A demuxer may turn the end of a timeout into any other error.
        silent = isinstance(problem, av.error.ExitError) or clock() - began >= timeout_seconds
        failure = Failure.of_silence(timeout_seconds) if silent else Failure.of_opening(problem, address)
    raise failure.error(address)  # out here, for FFmpeg's own error shows the password


def _open_file(place: str) -> Any:
    if place.isdigit() and not Path(place).exists():
        raise FileProblem(f"no such file: {place}", hint=f"for a camera write camera:{place}")
    path = existing_file(place)
    try:
        return av.open(f"file:{path}")  # "file:" keeps a colon in a name from being read as a protocol
    except av.error.InvalidDataError as problem:
        raise _not_a_video(path) from problem
    except av.error.EOFError as problem:
        hint = "play it to see whether it is whole"
        raise FormatError(f"{path} ends before its first frame", hint=hint, code="ES-SOURCE-UNDECODABLE") from problem
    except (av.FFmpegError, OSError) as problem:
        raise FileProblem(f"cannot open {path}: {message_of(problem)}", hint="check the path") from problem


def _not_a_video(path: Path) -> FormatError:
    with path.open("rb") as file:
        is_mp4 = file.read(8)[4:] == b"ftyp"
    if not is_mp4:
        return FormatError(f"this is not a video: {path}", hint=VIDEO_HINT, code="ES-SOURCE-FORMAT")
    return FormatError(
        f"the index (moov) of {path} is missing: its recording was cut off",
        hint="record it again, as .mkv where recordings get cut off; untrunc can rescue an MP4",
        code="ES-SOURCE-CUT-SHORT",
    )
