"""The server of the page, in a thread of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

import uvicorn

from edgeseg.errors import FormatError, UnavailableError
from edgeseg.files import bytes_from_file
from edgeseg.live.page.app import app_from_view
from edgeseg.live.page.guard import checked_token, is_loopback, new_token
from edgeseg.live.page.workers import Workers
from edgeseg.live.status import LiveView
from edgeseg.uri import check_options, options_from_query

HOST = "127.0.0.1"
PORT = 8080
OPTIONS = ("token", "token_file")
START_SECONDS = 20.0
CLOSE_SECONDS = 3.0
ENCODERS = 2


class PageServer:
    """Serves the page of a `LiveView` from `start` to `close`."""

    def __init__(self, view: LiveView, host: str = HOST, port: int = PORT, *, token: str = "") -> None:
        """A server that listens at host:port once it is started.

        port: 0 for any free one. token: who has it may see the page; "" for none where `host` is a loopback address,
        and else for a random one, which `login_url` has.
        """
        self._shows_token = not token
        self.host = host
        self.port = port
        self.token = checked_token(token) if token else "" if is_loopback(host) else new_token()
        self._view = view
        self._workers: Workers | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The page's address, without the token. For a host such as 0.0.0.0 it is that of this machine's network."""
        host = network_address() if self.host in ("0.0.0.0", "::", "") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    @property
    def login_url(self) -> str:
        """`url` with the token if it is a random one: the user must see it once. Print it; do not log it."""
        return f"{self.url}?token={self.token}" if self.token and self._shows_token else self.url

    def start(self) -> None:
        """Listen. UnavailableError (ES-PORT) where the address cannot be used."""
        listener = listening_socket(self.host, self.port)
        self.port = listener.getsockname()[1]
        self._workers = Workers(ENCODERS, "page-encoder")
        app = app_from_view(self._view, self._workers, token=self.token, cookie=f"edgeseg-{self.port}")
        config = uvicorn.Config(
            app,
            http="h11",
            ws="websockets-sansio",
            loop="asyncio",
            lifespan="on",
            log_config=None,  # and no access log: an address may have the token
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws_max_size=1 << 16,
            ws_per_message_deflate=False,  # JPEG and zlib do not shrink
            limit_concurrency=100,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, args=(self._server, listener), name="page", daemon=True)
        self._thread.start()
        until = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > until:
                self.close()
                raise UnavailableError(
                    f"the page at {self.url} did not start", hint="see the log for the reason", code="ES-PORT"
                )
            time.sleep(0.01)

    @staticmethod
    def _serve(server: uvicorn.Server, listener: socket.socket) -> None:
        """Run until `should_exit`. Signals are the caller's: uvicorn handles them in the main thread only."""
        with listener, contextlib.suppress(SystemExit):
            server.run(sockets=[listener])

    def close(self) -> None:
        """Stop listening and leave all browsers; it may be called twice, and never takes more than a few seconds."""
        server, thread, workers = self._server, self._thread, self._workers
        self._server = self._thread = self._workers = None
        if server is not None and thread is not None:
            server.should_exit = True
            thread.join(CLOSE_SECONDS)
            server.force_exit = True
            thread.join(CLOSE_SECONDS)
        if workers is not None:
            workers.close()

    def __enter__(self) -> PageServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def page_from_uri(uri: str, view: LiveView) -> PageServer:
    """The server of `http://HOST:PORT`, not yet started. HOST is 127.0.0.1 and PORT 8080 where they are left out.

    Options: token, or token_file, a file with the token in its first line. FormatError for another URL,
    UnknownNameError for another option.
    """
    try:
        url = urlsplit(uri)
        host, port = url.hostname or HOST, PORT if url.port is None else url.port
    except ValueError:
        raise _uri_error(uri) from None
    if url.scheme != "http" or url.path not in ("", "/") or "@" in url.netloc or url.fragment:
        raise _uri_error(uri)
    options = options_from_query(url.query)
    check_options("the page", options, OPTIONS)
    return PageServer(view, host, port, token=_token(options))


def _token(options: Mapping[str, str]) -> str:
    if "token_file" not in options:
        return options.get("token", "")
    if "token" in options:
        hint = "keep one of them"
        raise FormatError("the page has both token and token_file", hint=hint, code="ES-FORMAT-OPTION")
    lines = bytes_from_file(Path(options["token_file"])).decode("utf-8", "replace").splitlines()
    return checked_token(lines[0].strip() if lines else "")


def _uri_error(uri: str) -> FormatError:
    place = uri.partition("?")[0].rpartition("@")[2]
    hint = "write http://127.0.0.1:8080 or http://0.0.0.0:8080"
    return FormatError(f"not an address for the page: {place}", hint=hint, code="ES-FORMAT-OPTION")


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that listens at host:port. UnavailableError (ES-PORT) where that is impossible."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, OverflowError) as problem:
        hint = "use 127.0.0.1, 0.0.0.0 or an address of this machine"
        raise UnavailableError(f"cannot serve the page at {host}: {problem}", hint=hint, code="ES-PORT") from None
    try:
        if os.name == "posix":  # on Windows it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(64)
    except (OSError, OverflowError) as problem:
        listener.close()
        reason = problem.strerror if isinstance(problem, OSError) else str(problem)
        hint = "use another port, such as 8081, or 0 for any free one; end the program that uses it"
        message = f"cannot serve the page at {host}:{port}: {reason}"
        raise UnavailableError(message, hint=hint, code="ES-PORT") from None
    return listener


def network_address() -> str:
    """The address by which other machines reach this one, or its name. Nothing is sent to find it."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
    except OSError:
        return socket.gethostname()
