"""The web page of a running stream: a server in a thread, and one WebSocket that the browser pulls from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeseg.errors import UnavailableError
from edgeseg.live.status import LiveView

if TYPE_CHECKING:
    from edgeseg.live.page.server import PageServer


def page_from_uri(uri: str, view: LiveView) -> PageServer:
    """The server of `http://HOST:PORT?token=TOKEN` or `?token_file=PATH`; call its `start`, and print its `login_url`.

    UnavailableError where the packages of `edgeseg[web]` are missing.
    """
    try:
        from edgeseg.live.page.server import server_from_uri
    except ModuleNotFoundError as missing:
        hint = 'pip install "edgeseg[web]"'
        raise UnavailableError(f"the page needs {missing.name}", hint=hint) from None
    return server_from_uri(uri, view)
