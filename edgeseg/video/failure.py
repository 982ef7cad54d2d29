"""Why the network gives no video: FFmpeg's errors as codes, reasons and hints."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

import av

from edgeseg.errors import EdgeSegError, FormatError, UnavailableError
from edgeseg.video.address import Address

CHECK_ADDRESS = "check the address, and that the camera is on"
# By FFmpeg's error number: code, hint.
REFUSALS = {
    av.error.tag_to_code(b"\xf8404"): ("ES-SOURCE-NOT-FOUND", "check the path behind the host, as the manual names it"),
    errno.ECONNREFUSED: ("ES-SOURCE-REFUSED", "check the port, and that the camera or server is on"),
    errno.ETIMEDOUT: ("ES-SOURCE-TIMEOUT", CHECK_ADDRESS),
    errno.EHOSTUNREACH: ("ES-SOURCE-UNREACHABLE", "check the address, and the network of this machine"),
    errno.ENETUNREACH: ("ES-SOURCE-UNREACHABLE", "check the address, and the network of this machine"),
}
# What FFmpeg says of a connection that was refused or torn down, for whatever reason.
LOST = (errno.EIO, errno.ECONNRESET, errno.EPIPE)


@dataclass(frozen=True)
class Failure:
    """What went wrong. reason: for a message, without the address. hint: what to type or check."""

    code: str
    reason: str
    hint: str

    @classmethod
    def of_opening(cls, problem: Exception, address: Address) -> Failure:
        """What an error of opening a URL means."""
        reason = words_of(problem)
        if isinstance(problem, (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)):
            return cls("ES-SOURCE-AUTH", reason, _login_hint(address))
        if isinstance(problem, av.error.InvalidDataError):
            return _no_video(address)
        number = getattr(problem, "errno", None)
        if number in (*LOST, errno.EINVAL) and not address.host:
            return cls("ES-SOURCE-AUTH", "it is not clear where the password ends", _login_hint(address))
        if number in LOST or isinstance(problem, av.error.EOFError):
            return _no_connection(address)
        other = ("ES-SOURCE-SERVER", "look into the log of the camera or server")
        code, hint = REFUSALS.get(number or 0, other)
        return cls(code, reason, hint)

    @classmethod
    def of_reading(cls, problem: Exception | None) -> Failure:
        """Why an opened source gave no more. problem: None where it ended without an error."""
        if problem is None:
            reason = "the server ended it"
        elif getattr(problem, "errno", None) in LOST:
            reason = "the connection was lost"
        else:
            reason = words_of(problem)
        return cls("ES-SOURCE-CLOSED", reason, "check the network, and that the camera or server is on")

    @classmethod
    def of_silence(cls, seconds: float) -> Failure:
        """No data came for so long."""
        hint = "check that this host and port serve video, and that no firewall is between"
        return cls("ES-SOURCE-TIMEOUT", f"no data came for {seconds:g} s", hint)

    def error(self, address: Address) -> EdgeSegError:
        """The error to raise for a URL that does not open; it shows no password."""
        kind = FormatError if self.code == "ES-SOURCE-FORMAT" else UnavailableError
        return kind(f"cannot open {address.name}: {self.reason}", hint=self.hint, code=self.code)


def words_of(problem: Exception) -> str:
    """FFmpeg's or the system's words for an error, without the address."""
    return getattr(problem, "strerror", None) or "refused"


def _no_connection(address: Address) -> Failure:
    """FFmpeg says "Input/output error" of unknown names and of TLS alike: ask the resolver which it is."""
    try:
        socket.getaddrinfo(address.host, None)
    except (OSError, UnicodeError):
        reason = f"the host name {address.host} is unknown"
        return Failure("ES-SOURCE-DNS", reason, "check the name, or write the IP address of the camera")
    if address.kind in ("https", "rtsps"):
        hint = f"write {address.kind[:-1]}:// if the server does not encrypt"
        return Failure("ES-SOURCE-TLS", "no TLS connection", hint)
    return Failure("ES-SOURCE-CLOSED", "the server closed the connection", CHECK_ADDRESS)


def _login_hint(address: Address) -> str:
    if "@" in address.place:
        return "check user and password; in a password write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23"
    return f"name the user and the password: {address.kind}://USER:PASSWORD@HOST/..."


def _no_video(address: Address) -> Failure:
    if address.kind.startswith("rtsp"):
        hint = "check the port (554 as a rule); for a stream over HTTP write http://"
        return Failure("ES-SOURCE-FORMAT", "the server does not speak RTSP", hint)
    hint = "a page that shows the camera is not its stream: its manual names the address"
    return Failure("ES-SOURCE-FORMAT", "what the server sends is not a video", hint)
