"""The reader process: opens one live source and copies its packets to stdout, without decoding.

Run as `python -m edgeseg.capture.reader`, with the request on stdin. stdout carries the packets of the video stream in
NUT, which keeps timestamps and codec data. stderr carries reports, one JSON object per line. The process ends when its
stdin is closed, so it does not outlive its parent, and on Linux also by a signal of the kernel.

Only this module and FFmpeg run here: whatever hangs, leaks or crashes in a demuxer, the parent can kill.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import av
import av.logging

from edgeseg.capture.timeline import Timeline
from edgeseg.child import read_request
from edgeseg.video.address import Address
from edgeseg.video.failure import Failure

NO_TIMESTAMPS = 0x80  # AVFMT_NOTIMESTAMPS
KEYFRAME_PATIENCE_SECONDS = 10.0  # after a loss: some cameras send key frames rarely, or refresh without any
MOST_PACE_SECONDS = 1.0  # between two packets, where timestamps jump
LOSS_MESSAGES = ("RTP: missed", "RTP packet sequence", "jitter buffer full", "corrupt", "max delay reached")


def report(kind: str, **fields: Any) -> None:
    """Write one report to stderr. kind: "ended" (the source has an end, and came to it) or "failed"."""
    with contextlib.suppress(OSError):
        os.write(2, (json.dumps({"report": kind, **fields}) + "\n").encode())


def _end_at_end_of_stdin() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def main() -> int:
    """Read the request, then copy packets or become the command that it names."""
    request = read_request()
    if "command" in request:
        return _run_command(request["command"], request["environment"])
    threading.Thread(target=_end_at_end_of_stdin, daemon=True).start()
    return copy_packets(request)


def _run_command(command: list[str], environment: dict[str, str | None]) -> int:
    """Become the command: its stdout is the container, and the signal at the parent's end stays set.

    environment: variables of the user's that were changed for this process; None for an unset one.
    """
    for name, value in environment.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    try:
        os.execvp(command[0], command)
    except OSError as problem:
        reason = f"{command[0]}: {problem.strerror}"
        _report_failure(Failure("ES-SOURCE-COMMAND", reason, f"install {command[0]}, or write its path"))
    return 1


def copy_packets(request: dict[str, Any]) -> int:
    """Copy the packets of the first video stream to stdout until the source or stdout ends."""
    address = Address(request["kind"], request["url"])
    with logged_warnings() as log:
        began = time.monotonic()
        try:
            container = av.open(
                address.place, format=request.get("format"), options=request["options"], timeout=request["timeout"]
            )
        except (av.FFmpegError, OSError) as problem:
            # A demuxer may turn the end of a timeout into any other error.
            silent = isinstance(problem, av.error.ExitError) or time.monotonic() - began >= request["timeout"]
            return _report_failure(
                Failure.of_silence(request["timeout"]) if silent else Failure.of_opening(problem, address)
            )
        cover = av.stream.Disposition.attached_pic
        streams = [stream for stream in container.streams.video if not stream.disposition & cover]
        if not streams:
            return _report_failure(Failure.of_no_video(address))
        return _copy(container, streams[0], log)


@contextlib.contextmanager
def logged_warnings() -> Iterator[list[Any]]:
    """The (level, name, text) of FFmpeg's warnings, all of them: PyAV would leave out one that repeats the one before,
    and with it the second of two equal losses.
    """
    av.logging.set_level(av.logging.WARNING)
    av.logging.set_skip_repeated(False)
    with av.logging.Capture(local=False) as log:
        yield log


def _copy(container: Any, stream: Any, log: list[Any]) -> int:
    output = av.open("pipe:1", "w", format="nut", options={"flush_packets": "1"})
    try:
        # PyAV would else look for an encoder of the decoder's name, which AV1 has none of.
        target = output.add_stream_from_template(stream, opaque=True)
    except (av.FFmpegError, ValueError, AttributeError):
        return _report_failure(Failure.of_codec())
    finite = bool(container.duration)
    problem: Exception | None = None
    try:
        for packet in _paced(_undamaged(container, stream, log), container.format.name):
            packet.stream = target
            output.mux_one(packet)
    except (av.FFmpegError, OSError) as error:
        if getattr(error, "errno", 0) == errno.EPIPE:
            return 0
        problem = error
    if finite and problem is None:
        report("ended")
        return 0
    silent = isinstance(problem, av.error.ExitError)
    timeout = float(container.read_timeout or 0)
    return _report_failure(Failure.of_silence(timeout) if silent else Failure.of_reading(problem))


def _undamaged(container: Any, stream: Any, log: list[Any]) -> Iterator[Any]:
    """The packets, without those between a loss on the network and the next key frame.

    A demuxer assembles a frame from data that it reads while it returns the one before, so that the loss which it logs
    during one call may concern this packet and the next. Packets get the time of their arrival where the format has no
    timestamps, because FFmpeg invents those at a guessed rate.
    """
    timed = not container.format.flags & NO_TIMESTAMPS
    timeline = Timeline(stream.time_base)
    suspects, waits_since, first = 0, 0.0, time.monotonic()
    for packet in container.demux(stream):
        if not packet.size:
            continue
        if not timed:
            packet.pts = packet.dts = round((time.monotonic() - first) / stream.time_base)
        timeline.stamp(packet)
        if packet.is_corrupt or any(mark in text for _, _, text in log for mark in LOSS_MESSAGES):
            waits_since, suspects = time.monotonic(), 2
        log.clear()
        if suspects:
            suspects -= 1
        elif not waits_since or packet.is_keyframe or time.monotonic() - waits_since > KEYFRAME_PATIENCE_SECONDS:
            waits_since = 0.0
            yield packet


def _paced(packets: Iterator[Any], format_name: str) -> Iterator[Any]:
    """The packets; of HLS, which comes in segments of seconds, each at its time, or nearly all would be old at once."""
    if format_name != "hls":
        yield from packets
        return
    began, first = time.monotonic(), None
    for packet in packets:
        seconds = float(packet.dts * packet.time_base) if packet.dts is not None else None
        if seconds is not None:
            first = seconds if first is None else first
            time.sleep(min(MOST_PACE_SECONDS, max(0.0, began + seconds - first - time.monotonic())))
        yield packet


def _report_failure(failure: Failure) -> int:
    report("failed", code=failure.code, reason=failure.reason, hint=failure.hint)
    return 1


if __name__ == "__main__":
    sys.exit(main())
