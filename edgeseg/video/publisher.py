"""The publisher process: takes encoded video from stdin and sends it to an RTSP or RTMP server, without encoding.

Run as `python -m edgeseg.video.publisher`. After the request, stdin carries the packets in NUT, up to the end of the
stream. stdout carries reports, one JSON object per line.

It is a process of its own because FFmpeg cannot be interrupted while it connects or sends, and PyAV holds Python's lock
while it connects: a server that hangs would stop the whole parent. A process can be killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any

import av

from edgeseg.child import read_request
from edgeseg.video.address import Address
from edgeseg.video.failure import Failure

FORMATS = {"rtsp": "rtsp", "rtsps": "rtsp", "rtmp": "flv", "rtmps": "flv"}
# A short look at the packets: their header says all that the server is told.
INPUT_OPTIONS = {"probesize": "32", "analyzeduration": "0"}


def main() -> int:
    """Send what comes on stdin until it ends; 1 after an error, which is reported."""
    request = read_request()
    address = Address(request["kind"], request["url"])
    try:
        send(address, request["options"])
    except (av.FFmpegError, OSError) as problem:
        failure = Failure.of_opening(problem, address)
        report(event="failed", code=failure.code, reason=failure.reason, hint=failure.hint)
        return 1
    return 0


def send(address: Address, options: dict[str, str]) -> None:
    """Copy the packets of stdin to the server."""
    packets = av.open("pipe:0", format="nut", options=INPUT_OPTIONS)
    video = packets.streams.video[0]
    server = av.open(address.place, "w", format=FORMATS[address.kind], options=options)
    stream = server.add_stream_from_template(video)
    server.start_encoding()
    report(event="connected")
    for packet in packets.demux(video):
        if packet.size:
            packet.stream = stream
            server.mux(packet)
    server.close()


def report(**fields: Any) -> None:
    """Write one report to stdout."""
    with contextlib.suppress(OSError):
        os.write(1, (json.dumps(fields) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())
