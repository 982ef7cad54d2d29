"""The address of a model on a server: triton://USER:PASSWORD@HOST:PORT/MODEL?version=1&timeout=5s&tls=1."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from edgeseg.errors import FormatError
from edgeseg.uri import check_options, flag_option, integer_option, options_from_query, redacted, seconds_option

PREFIX = "triton://"
PORT = 8001  # Triton's for gRPC
TIMEOUT_SECONDS = 10.0
OPTIONS = ("timeout", "tls", "version")
HINT = "write triton://HOST:8001/MODEL; in a password write @ as %40, / as %2F, ? as %3F, # as %23"


@dataclass(frozen=True)
class ModelAddress:
    """A parsed address. login: "user:password", or ""; show `name` instead. version: "" for the newest."""

    host: str
    model: str
    port: int = PORT
    login: str = field(default="", repr=False)
    version: str = ""
    timeout_seconds: float = TIMEOUT_SECONDS
    tls: bool = False

    @property
    def server(self) -> str:
        """HOST:PORT."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def name(self) -> str:
        """The address for messages and records, without the login and the timeout."""
        options = {"tls": "1" if self.tls else "", "version": self.version}
        query = "&".join(f"{key}={value}" for key, value in options.items() if value)
        return f"{PREFIX}{self.server}/{self.model}" + (f"?{query}" if query else "")

    @property
    def headers(self) -> dict[str, str]:
        """The header that carries the login; none without one."""
        token = base64.b64encode(self.login.encode()).decode()
        return {"authorization": f"Basic {token}"} if self.login else {}


def is_address(model: object) -> bool:
    """Whether `model` names a model on a server, and not a file."""
    return str(model).startswith(PREFIX)


def address_from_uri(uri: str) -> ModelAddress:
    """Parse an address. FormatError or UnknownNameError, without the login, where it has another form."""
    try:
        url = urlsplit(uri)
        host, port = url.hostname or "", PORT if url.port is None else url.port
    except ValueError as problem:
        raise address_error(uri) from problem
    model, options = unquote(url.path).strip("/"), options_from_query(url.query)
    is_cut = url.fragment != "" or ("@" in uri and "@" not in url.netloc)  # at a / ? or # in the password
    if not host or not port or not model or "/" in model or is_cut:
        raise address_error(uri)
    name = redacted(uri)
    check_options(name, options, OPTIONS)
    return ModelAddress(
        host=host,
        model=model,
        port=port,
        login=f"{unquote(url.username)}:{unquote(url.password or '')}" if url.username else "",
        version=str(integer_option(options, "version", 1)) if "version" in options else "",
        timeout_seconds=seconds_option(options, "timeout") or TIMEOUT_SECONDS,
        tls=flag_option(options, "tls"),
    )


def address_error(uri: str) -> FormatError:
    """The error for what is not an address."""
    message = f"this is not the address of a model on a server: {redacted(uri)}"
    return FormatError(message, hint=HINT, code="ES-FORMAT-SERVER")
