"""Errors of network sources: FFmpeg's errors as codes, reasons and hints."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

import av

from edgeseg.errors import EdgeSegError, FormatError, UnavailableError
from edgeseg.video.address import COMMANDS, Address

CHECK_ADDRESS = "check the address, and that the camera is on"
# By FFmpeg's error number: code, hint.
REFUSALS = {
    av.error.tag_to_code(b"\xf8404"): (
        "ES-SOURCE-NOT-FOUND",
        "check the path after the host; the camera's manual states it",
    ),
    errno.ECONNREFUSED: ("ES-SOURCE-REFUSED", "check the port, and that the camera or server is on"),
    errno.ETIMEDOUT: ("ES-SOURCE-TIMEOUT", CHECK_ADDRESS),
    errno.EHOSTUNREACH: ("ES-SOURCE-UNREACHABLE", "check the address, and the network of this machine"),
    errno.ENETUNREACH: ("ES-SOURCE-UNREACHABLE", "check the address, and the network of this machine"),
}
DEVICE_REFUSALS = {
    errno.ENOENT: ("ES-SOURCE-NOT-FOUND", "edgeseg sources lists the cameras of this machine"),
    errno.ENODEV: ("ES-SOURCE-NOT-FOUND", "edgeseg sources lists the cameras of this machine"),
    errno.EACCES: ("ES-SOURCE-AUTH", "sudo usermod -aG video $USER, then log in again"),
    errno.EBUSY: ("ES-SOURCE-REFUSED", "another program uses the camera: close it"),
}
# FFmpeg's errors for a connection that was refused or lost, for any reason.
LOST = (errno.EIO, errno.ECONNRESET, errno.EPIPE)


@dataclass(frozen=True)
class Failure:
    """A failure. reason: for a message, without the address. hint: what to type or check."""

    code: str
    reason: str
    hint: str

    @classmethod
    def of_opening(cls, problem: Exception, address: Address) -> Failure:
        """The failure behind an error of `av.open` for a URL."""
        reason = message_of(problem)
        if not address.is_url:
            return _of_device(problem, address)
        if isinstance(problem, (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)):
            return cls("ES-SOURCE-AUTH", reason, _login_hint(address))
        if isinstance(problem, av.error.InvalidDataError):
            return _no_video(address)
        number = getattr(problem, "errno", None)
        if number in (*LOST, errno.EINVAL) and not address.host:
            return cls("ES-SOURCE-AUTH", "the end of the password is ambiguous", _login_hint(address))
        if number in LOST or isinstance(problem, av.error.EOFError):
            return _no_connection(address)
        other = ("ES-SOURCE-SERVER", "check the log of the camera or server")
        code, hint = REFUSALS.get(number or 0, other)
        return cls(code, reason, hint)

    @classmethod
    def of_starting(cls, problem: OSError) -> Failure:
        """The process that reads the source cannot be started."""
        hint = "check the limits of this system for processes and open files: ulimit -a"
        return cls("ES-SOURCE-COMMAND", f"its reader process does not start: {message_of(problem)}", hint)

    @classmethod
    def of_reading(cls, problem: Exception | None) -> Failure:
        """Why an open source ended. problem: None where there was no error."""
        if problem is None:
            reason = "the server ended the stream"
        elif getattr(problem, "errno", None) in LOST:
            reason = "the connection was lost"
        else:
            reason = message_of(problem)
        return cls("ES-SOURCE-CLOSED", reason, "check the network, and that the camera or server is on")

    @classmethod
    def of_silence(cls, seconds: float) -> Failure:
        """No data arrived for `seconds`."""
        hint = "check that this host and port serve video, and that no firewall blocks it"
        return cls("ES-SOURCE-TIMEOUT", f"no data came for {seconds:g} s", hint)

    @classmethod
    def of_decoding(cls, seconds: float) -> Failure:
        """Data arrived for `seconds`, and no image came of it."""
        reason = f"its data came for {seconds:.0f} s, and no image could be decoded"
        return cls("ES-SOURCE-UNDECODABLE", reason, "set the camera to H.264, with a key frame at least every 10 s")

    @classmethod
    def of_delay(cls, seconds: float) -> Failure:
        """Frames are older than `seconds` and do not catch up."""
        hint = "check the network; a new connection starts at the newest frame"
        return cls("ES-SOURCE-BEHIND", f"its frames are more than {seconds:g} s old and do not catch up", hint)

    @classmethod
    def of_no_video(cls, address: Address) -> Failure:
        """The source opens, and holds no video."""
        return _no_video(address)

    @classmethod
    def of_codec(cls) -> Failure:
        """The source has a video that this FFmpeg cannot pass on."""
        return cls("ES-SOURCE-CODEC", "its codec is not known to this FFmpeg", "set the camera to H.264")

    def error(self, address: Address) -> EdgeSegError:
        """The error for a URL that does not open, without its password."""
        kind = FormatError if self.code == "ES-SOURCE-FORMAT" else UnavailableError
        return kind(f"cannot open {address.name}: {self.reason}", hint=self.hint, code=self.code)


def message_of(problem: Exception) -> str:
    """The message of FFmpeg or the system for an error, without the address."""
    return getattr(problem, "strerror", None) or "refused"


def _of_device(problem: Exception, address: Address) -> Failure:
    """Why a camera or screen does not open."""
    number = getattr(problem, "errno", None) or 0
    other = ("ES-SOURCE-DEVICE", "edgeseg sources lists the cameras of this machine")
    code, hint = DEVICE_REFUSALS.get(number, other)
    return Failure(code, message_of(problem), hint)


def _no_connection(address: Address) -> Failure:
    """FFmpeg reports unknown names and TLS errors as "Input/output error": the resolver tells which it is."""
    try:
        socket.getaddrinfo(address.host, None)
    except (OSError, UnicodeError):
        reason = f"the host name {address.host} is unknown"
        return Failure("ES-SOURCE-DNS", reason, "check the name, or write the IP address of the camera")
    if address.kind in ("https", "rtsps"):
        hint = f"write {address.kind[:-1]}:// if the server does not encrypt"
        return Failure("ES-SOURCE-TLS", "the TLS connection failed", hint)
    return Failure("ES-SOURCE-CLOSED", "the server closed the connection", CHECK_ADDRESS)


def _login_hint(address: Address) -> str:
    if "@" in address.place:
        return "check user and password; in a password write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23"
    return f"name the user and the password: {address.kind}://USER:PASSWORD@HOST/..."


def _no_video(address: Address) -> Failure:
    if address.kind in COMMANDS:
        hint = "have the command write video to its stdout, in a container such as matroska, nut or mpegts"
        return Failure("ES-SOURCE-FORMAT", "the command does not send a video", hint)
    if address.kind.startswith("rtsp"):
        hint = "check the port (usually 554); for a stream over HTTP write http://"
        return Failure("ES-SOURCE-FORMAT", "the server does not speak RTSP", hint)
    hint = "the page that shows the camera is not its stream; the camera's manual states the address"
    return Failure("ES-SOURCE-FORMAT", "the server does not send a video", hint)
