"""A running tegrastats, of which the latest line counts."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
from collections.abc import Sequence

COMMAND = ("tegrastats", "--interval", "500")
FIRST_LINE_SECONDS = 3.0


class TegrastatsProcess:
    """Starts and stops the tool. `line` is its newest line, "" before the first."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self._command = command
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self._arrived = threading.Event()
        self.line = ""

    def start(self) -> bool:
        """Start the tool and wait for its first line; False where the tool is missing or prints none."""
        tool = shutil.which(self._command[0])
        if tool is None:
            return False
        words = [tool, *self._command[1:]]
        try:
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                text=True, errors="replace",
            )  # fmt: skip
        except OSError:
            return False
        self._thread = threading.Thread(target=self._read, name="tegrastats", daemon=True)
        self._thread.start()
        self._arrived.wait(FIRST_LINE_SECONDS)
        if not self.line:
            self.stop()
        return bool(self.line)

    def stop(self) -> None:
        """End the tool."""
        if self._process is None:
            return
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(FIRST_LINE_SECONDS)
        self._process.kill()
        if self._thread is not None:
            self._thread.join()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process.wait()
        self._process = None

    def _read(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            for line in self._process.stdout:
                self.line = line.strip() or self.line
                if self.line:
                    self._arrived.set()
        self._arrived.set()
