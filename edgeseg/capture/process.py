"""A reader process, seen from its parent: started, watched, ended."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from edgeseg.video.failure import Failure

POLL_SECONDS = 0.25
TERMINATE_SECONDS = 2.0  # between SIGTERM and SIGKILL, for a command of the user
REPORT_BYTES = 4096  # of a report; longer lines are cut


class ReaderProcess:
    """A process that writes the packets of a source to `stdout`.

    A thread of its own reads the reports and kills the process when nothing was heard for the time that `allow` gave:
    a read of `stdout` that blocks then ends. failure: why the process ended, as far as it said so.
    is_complete: the source has an end, and came to it.
    """

    def __init__(self, request: Mapping[str, Any], seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.failure: Failure | None = None
        self.opened: Mapping[str, Any] = {}
        self.losses = 0
        self.expired = self.is_complete = False
        self._clock, self._deadline = clock, clock() + seconds
        self._last_lines: list[str] = []
        paths = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edgeseg.capture.reader"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths, "PYTHONSAFEPATH": "1"},
            start_new_session=True,  # Ctrl-C in a terminal reaches only the parent, which then ends the reader
        )
        assert self._process.stdin and self._process.stdout and self._process.stderr
        with contextlib.suppress(OSError):
            self._process.stdin.write((json.dumps(request) + "\n").encode())
            self._process.stdin.flush()
        self._watcher = threading.Thread(target=self._watch, name="edgeseg-reader", daemon=True)
        self._watcher.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def stdout(self) -> int:
        """The file descriptor with the packets; valid until `close`."""
        assert self._process.stdout
        return self._process.stdout.fileno()

    @property
    def last_line(self) -> str:
        """The last line on stderr that was not a report: the message of a user's command."""
        return self._last_lines[-1] if self._last_lines else ""

    def allow(self, seconds: float) -> None:
        """Something was heard: kill the process only after so many more seconds."""
        self._deadline = self._clock() + seconds

    def kill(self) -> None:
        """End the process at once; `close` must still be called."""
        self._signal(signal.SIGKILL)

    def close(self) -> None:
        """End the process, wait for it and free its pipes."""
        process = self._process
        assert process.stdin and process.stdout and process.stderr
        with contextlib.suppress(OSError):
            process.stdin.close()
        self._signal(signal.SIGTERM)
        try:
            process.wait(TERMINATE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            process.wait()
        self._watcher.join()
        process.stdout.close()
        process.stderr.close()

    def join_reports(self) -> None:
        """Wait until all reports of a process that closed its stdout are read; it is killed where it goes on."""
        self._watcher.join(TERMINATE_SECONDS)
        if self._watcher.is_alive():
            self.kill()
            self._watcher.join()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):  # a command may have children of its own
                os.killpg(self._process.pid, number)
            else:
                self._process.send_signal(number)

    def _watch(self) -> None:
        assert self._process.stderr
        descriptor, rest = self._process.stderr.fileno(), b""
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while True:
                if not self.expired and self._clock() > self._deadline:
                    self.expired = True
                    self.kill()
                if not selector.select(POLL_SECONDS):
                    continue
                data = os.read(descriptor, REPORT_BYTES)
                if not data:
                    return
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._heard(line[:REPORT_BYTES])
                rest = rest[-REPORT_BYTES:]

    def _heard(self, line: bytes) -> None:
        try:
            fields = json.loads(line)
            event = fields.pop("event")
        except (ValueError, KeyError, TypeError, AttributeError):
            self._last_lines = [*self._last_lines[-4:], line.decode(errors="replace").strip()]
            return
        if event == "opened":
            self.opened = fields
        elif event == "failed":
            self.failure = Failure(**fields)
        elif event == "ended":
            self.is_complete = True
        elif event == "loss":
            self.losses += 1
