"""What a reader process is to open, from the address that a user types.

rtsp://, rtsps://, http://, https://, rtmp://, srt://, udp://    ?transport=udp for RTSP; else the URL's own query
camera:0, /dev/video0                                            ?width=1280&height=720&fps=30&format=mjpeg
screen:, screen::0.0                                             ?width=...&height=...&fps=...
csi:0                                                            ?width=1280&height=720&fps=30, by GStreamer
gst:PIPELINE                                                     GStreamer elements that end in encoded video
exec:COMMAND                                                     any command that writes a container to stdout
"""

from __future__ import annotations

import functools
import logging
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.codec.hwaccel import HWAccel, hwdevices_available

from edgeseg.errors import FormatError, UnavailableError, UnknownNameError
from edgeseg.uri import integer_option, rate_option, redacted
from edgeseg.video import NETWORK
from edgeseg.video.address import Address
from edgeseg.video.failure import Failure, message_of

logger = logging.getLogger(__name__)

ANALYSIS_MICROSECONDS = "1000000"  # at most, of a container whose header says too little
TIMEOUT_SECONDS = 10.0
TRANSPORTS = ("tcp", "udp", "udp_multicast", "http")
JETSON_FILE = Path("/etc/nv_tegra_release")
GRABBERS = {"linux": "v4l2", "darwin": "avfoundation"}  # of FFmpeg, by platform
TO_STDOUT = ("!", "watchdog", "timeout=10000", "!", "matroskamux", "streamable=true", "!", "fdsink", "fd=1")
OURS = ("transport", "decode")  # options of ours in the query of a URL
SIZE_OPTIONS = ("width", "height", "fps")


@dataclass(frozen=True)
class ReaderRequest:
    """What to open. format: of the bytes that arrive here; None to find out.

    command: a program and its arguments that writes a container to stdout; "" url then. decode: hardware decoder.
    """

    address: Address
    format: str | None = "nut"
    options: Mapping[str, str] = field(default_factory=dict)
    input_format: str | None = None
    url: str = field(default="", repr=False)
    command: tuple[str, ...] = field(default=(), repr=False)
    decode: str = ""
    timeout_seconds: float = TIMEOUT_SECONDS

    def to_dict(self) -> dict[str, Any]:
        """The request as the reader process takes it."""
        if self.command:
            return {"command": list(self.command)}
        return {
            "kind": self.address.kind,
            "url": self.url,
            "format": self.input_format,
            "options": dict(self.options),
            "timeout": self.timeout_seconds,
        }

    def hwaccel(self) -> HWAccel | None:
        """The hardware decoder, if its device opens. A codec that it cannot decode is decoded in software."""
        opens = self.decode and device_opens(self.decode)
        return HWAccel(self.decode, allow_software_fallback=True) if opens else None

    def failure_of(self, last_line: str, *, opened: bool) -> Failure:
        """The failure of a process that ended without a report."""
        if not self.command:
            return Failure("ES-SOURCE-CLOSED", "the reader process ended", "see the log of the system for its reason")
        program = Path(self.command[0]).name
        ended = f"{program} ended" + (f": {redacted(last_line)}" if last_line else "")
        hint = "check the camera and its cable" if opened else f"run {program} with these arguments in a terminal"
        return Failure("ES-SOURCE-CLOSED" if opened else "ES-SOURCE-COMMAND", ended, hint)


def request_from_address(address: Address) -> ReaderRequest:
    """The request for an address. FormatError, UnknownNameError or UnavailableError where it cannot be opened ever."""
    if address.kind in NETWORK:
        return _network(address)
    return {"camera": _camera, "screen": _screen, "csi": _csi, "gst": _gstreamer, "exec": _command}[address.kind](
        address
    )


def _network(address: Address) -> ReaderRequest:
    """A URL. Options of ours are taken out of its query; all others belong to the server and stay as they are."""
    place, _, query = address.place.rpartition("?")
    parts = query.split("&") if place else []
    ours = {key: value for key, _, value in (part.partition("=") for part in parts) if key in OURS}
    url = address.place
    if ours:
        rest = "&".join(part for part in parts if part.partition("=")[0] not in ours)
        url = f"{place}?{rest}" if rest else place
    # FFmpeg would watch the stream for seconds to guess its rate.
    options = {"analyzeduration": ANALYSIS_MICROSECONDS, "fpsprobesize": "0"}
    if address.kind.startswith("rtsp"):
        transport = ours.get("transport", "tcp")
        if transport not in TRANSPORTS:
            raise UnknownNameError.among("transport", transport, TRANSPORTS)
        options["rtsp_transport"] = transport
    elif "transport" in ours:
        raise UnknownNameError(f"{address.kind} has no option transport", hint="it is an option of rtsp:// URLs")
    return ReaderRequest(address, options=options, url=url, decode=_decoder(ours))


def _decoder(options: Mapping[str, str]) -> str:
    name = options.get("decode", "")
    if name and name not in hwdevices_available():
        raise UnknownNameError.among("hardware decoder", name, hwdevices_available())
    return name


@functools.cache
def device_opens(decoder: str) -> bool:
    """Whether the device of a hardware decoder opens; a warning, once, where it does not."""
    try:
        av.CodecContext.create("h264", "r", hwaccel=HWAccel(decoder))
    except (av.FFmpegError, OSError) as problem:
        logger.warning("decoding in software: the device of decode=%s does not open: %s", decoder, message_of(problem))
        return False
    return True


def _camera(address: Address) -> ReaderRequest:
    address.check_options((*SIZE_OPTIONS, "format"))
    device = address.place.removeprefix("/dev/video") or "0"
    if not device.isdigit() and not device.startswith("/dev/"):
        raise FormatError(f"not a camera: camera:{device}", hint="write camera:0 or /dev/video0")
    path = f"/dev/video{device}" if device.isdigit() else device
    options = _size_and_rate(address.options)
    if "format" in address.options:
        options["input_format"] = address.options["format"]
    for platform, name in GRABBERS.items():
        if sys.platform.startswith(platform):
            url = path if name == "v4l2" else device
            return ReaderRequest(address, options=options, input_format=name, url=url)
    raise UnavailableError("cameras of this system are not supported", hint="use exec: with ffmpeg")


def _screen(address: Address) -> ReaderRequest:
    address.check_options(SIZE_OPTIONS)
    if not sys.platform.startswith("linux"):
        hint = "use exec: with ffmpeg and the grabber of this system"
        raise UnavailableError("screen: works with X11 only", hint=hint)
    display = address.place or os.environ.get("DISPLAY", "")
    if not display:
        raise UnavailableError("there is no X11 display", hint="write screen::0.0, or set DISPLAY")
    return ReaderRequest(address, options=_size_and_rate(address.options), input_format="x11grab", url=display)


def _size_and_rate(options: Mapping[str, str]) -> dict[str, str]:
    """FFmpeg's options for width, height and fps. FormatError where only one side is given."""
    ffmpeg: dict[str, str] = {}
    if "width" in options or "height" in options:
        if not ("width" in options and "height" in options):
            raise FormatError("width and height come together", hint="write width=1280&height=720")
        ffmpeg["video_size"] = f"{integer_option(options, 'width', 1)}x{integer_option(options, 'height', 1)}"
    if "fps" in options:
        ffmpeg["framerate"] = str(rate_option(options, Fraction(30)))
    return ffmpeg


def _csi(address: Address) -> ReaderRequest:
    """A camera on the ribbon cable: through NVIDIA's elements on a Jetson, libcamera's elsewhere."""
    address.check_options(SIZE_OPTIONS)
    number, options = address.place or "0", address.options
    if not number.isdigit():
        raise FormatError(f"not a camera: csi:{number}", hint="write csi:0")
    width, height = integer_option(options, "width", 1280), integer_option(options, "height", 720)
    rate = rate_option(options, Fraction(30))
    size = f"width={width},height={height},framerate={rate.numerator}/{rate.denominator}"
    if JETSON_FILE.exists():
        pipeline = (
            f"nvarguscamerasrc sensor-id={number} ! video/x-raw(memory:NVMM),{size},format=NV12 ! "
            "nvv4l2h264enc insert-sps-pps=true idrinterval=30 ! h264parse"
        )
    elif number != "0":
        hint = 'name it: "gst:libcamerasrc camera-name=NAME ! videoconvert ! x264enc tune=zerolatency ! h264parse"'
        raise FormatError("libcamera has no numbers for its cameras", hint=hint)
    else:
        pipeline = (
            f"libcamerasrc ! video/x-raw,{size} ! videoconvert ! "
            f"x264enc tune=zerolatency speed-preset=ultrafast key-int-max={max(1, round(rate))} ! h264parse"
        )
    return _pipeline(address, pipeline)


def _gstreamer(address: Address) -> ReaderRequest:
    if address.options or not address.place.strip():
        raise FormatError("gst: takes a pipeline", hint="for example: gst:v4l2src ! jpegenc")
    return _pipeline(address, address.place)


def _pipeline(address: Address, pipeline: str) -> ReaderRequest:
    """A GStreamer pipeline. Without its watchdog a camera that loses power would block it for ever."""
    program = shutil.which("gst-launch-1.0")
    if program is None:
        hint = "install GStreamer: apt install gstreamer1.0-tools gstreamer1.0-plugins-bad"
        raise UnavailableError("gst-launch-1.0 is not installed", hint=hint, code="ES-MISSING-GSTREAMER")
    return ReaderRequest(address, format="matroska", command=(program, "-q", *_words(pipeline), *TO_STDOUT))


def _command(address: Address) -> ReaderRequest:
    """A command of the user's, without a shell."""
    words = _words(address.place)
    if address.options or not words:
        hint = "for example: exec:ffmpeg -i INPUT -c copy -f nut -"
        raise FormatError("exec: takes a command that writes a container to stdout", hint=hint)
    program = shutil.which(words[0])
    if program is None:
        raise UnavailableError(f"no such command: {words[0]}", hint="install it, or write its path")
    return ReaderRequest(address, format=None, command=(program, *words[1:]))


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as problem:
        raise FormatError(f"the command has a quote without its end: {problem}", hint="close each quote") from None
