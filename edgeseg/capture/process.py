"""A reader process, seen from its parent: started, watched, ended."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from edgeseg.child import request_line, start_child
from edgeseg.video.failure import Failure

POLL_SECONDS = 0.25
TERMINATE_SECONDS = 2.0  # between SIGTERM and SIGKILL, for a command of the user
REPORTS = ("ended", "failed")
REPORT_BYTES = 4096  # of a report; longer lines are cut


class ReaderProcess:
    """A process that writes the packets of a source to `stdout`.

    A thread of its own reads the reports and kills the process when nothing was heard for the time that `allow` gave:
    a read of `stdout` that blocks then ends. failure: why the process ended, as far as it said so.
    is_complete: the source has an end, and came to it.

    OSError where the system allows no more processes or threads.
    """

    def __init__(self, request: Mapping[str, Any], seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.failure: Failure | None = None
        self.expired = self.is_complete = False
        self._clock, self._deadline = clock, clock() + seconds
        self.last_line = ""  # on stderr that was not a report: the message of a user's command
        self._closed = False
        self._process = start_child("edgeseg.capture.reader", stderr=subprocess.PIPE)
        assert self._process.stdin and self._process.stdout and self._process.stderr
        with contextlib.suppress(OSError):
            self._process.stdin.write(request_line(request))
            self._process.stdin.flush()
        self._watcher = threading.Thread(target=self._watch, name="edgeseg-reader", daemon=True)
        try:
            self._watcher.start()
        except RuntimeError as problem:  # the system allows no more threads
            with self._process:
                self.kill()
            raise OSError(errno.EAGAIN, str(problem)) from problem

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def stdout(self) -> int:
        """The file descriptor with the packets; valid until `close`."""
        assert self._process.stdout
        return self._process.stdout.fileno()

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
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(TERMINATE_SECONDS)
        self.kill()  # a command may leave children behind, which hold its pipes open
        process.wait()
        self._closed = True
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
        if self._closed:  # another process may have its number now
            return
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
                    if self._closed:  # a child of the command that left its group still holds stderr open
                        return
                    continue
                data = os.read(descriptor, REPORT_BYTES)
                if not data:
                    self._read_line(rest)
                    return
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._read_line(line[:REPORT_BYTES])
                rest = rest[-REPORT_BYTES:]

    def _read_line(self, line: bytes) -> None:
        fields = report_from_line(line)
        if fields is None:
            self.last_line = line.decode(errors="replace").strip() or self.last_line
            return
        if fields.pop("report") == "ended":
            self.is_complete = True
        else:
            with contextlib.suppress(TypeError):  # a command may write anything
                self.failure = Failure(**fields)


def report_from_line(line: bytes) -> dict[str, Any] | None:
    """The fields of a report; None for any other line."""
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) and fields.get("report") in REPORTS else None
