"""A real Chromium that a test drives over the DevTools protocol."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.request import urlopen

from websockets.sync.client import connect

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-extensions", "--mute-audio", "--force-color-profile=srgb", "--remote-debugging-port=0"),
)
PATIENCE_SECONDS = 60  # it takes one or two; a machine that is busy may take much longer


def browser_path() -> str | None:
    """The first browser on the PATH."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


class NavigatedError(Exception):
    """The page was left while it was asked: it has no answer."""


class Browser:
    """One page of a browser with a fresh profile. `errors`: of its console, its scripts and its network."""

    def __init__(self, folder: Path) -> None:
        path = browser_path()
        assert path is not None
        self.errors: list[str] = []
        self._count = 0
        self._exit = contextlib.ExitStack()
        self._process = subprocess.Popen(
            [path, *OPTIONS, f"--user-data-dir={folder}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            url = self._page(self._port(folder))
            self._socket = self._exit.enter_context(
                connect(
                    url, max_size=None, compression=None, proxy=None, open_timeout=PATIENCE_SECONDS, ping_interval=None
                )
            )
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    def _port(self, folder: Path) -> str:
        until = time.monotonic() + PATIENCE_SECONDS
        file = folder / "DevToolsActivePort"
        while not (file.exists() and file.read_text()):
            assert time.monotonic() < until and self._process.poll() is None, "the browser does not start"
            time.sleep(0.05)
        return file.read_text().splitlines()[0]

    @staticmethod
    def _page(port: str) -> str:
        """The address of the first page, which is opened behind the port."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=PATIENCE_SECONDS) as answer:
                pages = [each for each in json.load(answer) if each["type"] == "page"]
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
            assert time.monotonic() < until, "the browser opens no page"
            time.sleep(0.05)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol, and keep the errors that are reported meanwhile."""
        self._count += 1
        self._socket.send(json.dumps({"id": self._count, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=PATIENCE_SECONDS))
            if message.get("id") == self._count:
                if "navigated" in message.get("error", {}).get("message", ""):
                    raise NavigatedError
                assert "error" not in message, message["error"]
                return dict(message["result"])
            self._listen(message.get("method"), message.get("params", {}))

    def _listen(self, method: str | None, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"])[:500])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append(json.dumps(params["args"])[:500])

    def run(self, script: str) -> Any:
        """The value of an expression; a promise is waited for."""
        done = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait(self, script: str) -> None:
        """Wait until an expression is true, on the page that is there then."""
        self._wait(lambda: bool(self.run(f"Boolean({script})")), script)

    @staticmethod
    def _wait(holds: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            with contextlib.suppress(NavigatedError):
                if holds():
                    return
            assert time.monotonic() < until, f"never true: {what}"
            time.sleep(0.05)

    def open(self, url: str, width: int = 1280, height: int = 900, *, dark: bool = False, scale: float = 1) -> None:
        """Go to a page in a window of that size."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self._go(url)
        self.wait(f"location.href.startsWith({json.dumps(url.partition('?')[0])})")

    def leave(self) -> None:
        """Go to an empty page."""
        self._go("about:blank")

    def _go(self, url: str) -> None:
        """Go to a page, and wait until the one before is gone, even where it has the same address."""
        loader = self.call("Page.navigate", url=url)["loaderId"]

        def is_there() -> bool:
            return bool(self.call("Page.getFrameTree")["frameTree"]["frame"]["loaderId"] == loader)

        self._wait(is_there, url)
        self.wait("document.readyState === 'complete'")

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """A PNG of the window, or of the whole page."""
        done = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(done["data"]))

    def close(self) -> None:
        """End the browser."""
        self._exit.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
