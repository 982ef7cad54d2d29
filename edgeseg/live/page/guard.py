"""Who may see the page: a token, the Host header and the Origin of a WebSocket.

Without a token, only requests whose Host is a loopback name are answered: a foreign page whose name resolves to
127.0.0.1 (DNS rebinding) is refused. With one, every request needs it, except static files, the icon and `/health`: as
`Authorization: Bearer TOKEN`, as the cookie that the page sets, or once as `?token=TOKEN`. A WebSocket with an Origin
other than its Host is refused in both cases, because browsers let any page open one.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgeseg.errors import FormatError

SHORTEST_TOKEN = 8
COOKIE_SECONDS = 30 * 86400
OPEN_PATHS = ("/health", "/static/", "/favicon.ico")  # the answer of /health has no details without the token
# Not a redirection: browsers withhold a strict cookie from one that a link on another site began.
ONWARD = '<!doctype html><meta http-equiv="refresh" content="0;url=/"><title>edgeseg</title>'
POLICY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def new_token() -> str:
    """A random token of 192 bits."""
    return secrets.token_urlsafe(24)


def checked_token(token: str) -> str:
    """`token`. FormatError unless it has at least SHORTEST_TOKEN characters that a URL and a header can carry."""
    if len(token) < SHORTEST_TOKEN or not all(c.isascii() and (c.isalnum() or c in "-._~") for c in token):
        raise FormatError(
            f"the token of the page must have at least {SHORTEST_TOKEN} characters of A-Z a-z 0-9 - . _ ~",
            hint="leave the token out, and a random one is printed",
            code="ES-FORMAT-OPTION",
        )
    return token


def is_loopback(host: str) -> bool:
    """Whether `host` names this machine and nothing else."""
    try:
        return ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def host_of(host: str) -> str:
    """The name in a Host header, without the port; "" where it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def same_origin(headers: Headers) -> bool:
    """Whether the Origin of a request, if it has one, is the server that it was sent to. Only browsers send one."""
    origin = headers.get("origin")
    if origin is None:
        return True
    scheme, _, host = origin.partition("://")
    return scheme in ("http", "https") and host.lower() == headers.get("host", "").lower() != ""


class Guard:
    """ASGI middleware with the rules of this module, which also adds the security headers to each answer."""

    def __init__(self, app: ASGIApp, *, token: str, cookie: str, entrance: Callable[[], Response]) -> None:
        """A guard of `app`. token: "" for none. cookie: its name. entrance: the page that asks for the token."""
        self._app = app
        self._token = token
        self._cookie = cookie
        self._entrance = entrance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse or pass on one request; `scope["trusted"]` says whether it may see more than `/health`."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        query = parse_qs(scope["query_string"].decode("latin-1"))
        scope["trusted"] = self._is_trusted(headers, query)
        if scope["type"] == "websocket":
            if scope["trusted"] and same_origin(headers):
                await self._app(scope, receive, send)
            else:
                await receive()
                await send({"type": "websocket.close", "code": 1008})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = MutableHeaders(scope=message)
                added.update(POLICY)
                added.setdefault("Cache-Control", "no-store")
            await send(message)

        answer = self._answer(scope, headers, query) or self._app
        await answer(scope, receive, send_with_headers)

    def _is_trusted(self, headers: Headers, query: Mapping[str, Sequence[str]]) -> bool:
        if not self._token:
            return is_loopback(host_of(headers.get("host", "")))
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        cookies = [value for name, value in _cookies(headers.get("cookie", "")) if name == self._cookie]
        offered = [*cookies, *query.get("token", ()), *([bearer.strip()] if scheme.lower() == "bearer" else ())]
        return any(hmac.compare_digest(each.encode(), self._token.encode()) for each in offered)

    def _answer(self, scope: Scope, headers: Headers, query: Mapping[str, Sequence[str]]) -> Response | None:
        """The answer of the guard itself, or None where the request may pass."""
        path = scope["path"]
        if scope["trusted"] and self._token and path == "/" and "token" in query:
            answer: Response = HTMLResponse(ONWARD)
            answer.set_cookie(self._cookie, self._token, max_age=COOKIE_SECONDS, httponly=True, samesite="strict")
            return answer
        if scope["trusted"] or (self._token and path.startswith(OPEN_PATHS)):
            return None
        if not self._token:
            return PlainTextResponse("This page answers as 127.0.0.1 and localhost only.\n", status_code=403)
        if path == "/":
            return self._entrance()
        challenge = {"WWW-Authenticate": 'Bearer realm="edgeseg"'}
        return PlainTextResponse("This page needs its token.\n", status_code=401, headers=challenge)


def _cookies(header: str) -> Iterator[tuple[str, str]]:
    """(name, value) of each cookie. `http.cookies` gives up at the first one that it cannot read."""
    for part in header.split(";"):
        name, _, value = part.partition("=")
        yield name.strip(), value.strip().strip('"')
