"""A publisher process, seen from its parent: it is given bytes and never waited for."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from edgeseg.child import request_line, start_child
from edgeseg.video.failure import Failure

if sys.platform.startswith("linux"):
    import fcntl

PIPE_BYTES = 1 << 20  # holds a key frame of 1080p; Linux gives 64 KiB by default
ENDED = Failure("ES-SOURCE-CLOSED", "the connection was closed", "check the log of the server")


class PublisherProcess:
    """Sends NUT to a server. `write` keeps bytes, `advance` hands them on as far as the process takes them.

    is_connected: the server takes the stream. failure: why the process ended.
    """

    def __init__(self, request: Mapping[str, Any]) -> None:
        self.is_connected = False
        self.failure: Failure | None = None
        self._waiting = bytearray()
        self._reports = b""
        self._process = start_child("edgeseg.video.publisher", stderr=subprocess.DEVNULL, bufsize=0)
        assert self._process.stdin and self._process.stdout
        self._input, self._output = self._process.stdin, self._process.stdout
        os.set_blocking(self._input.fileno(), False)
        os.set_blocking(self._output.fileno(), False)
        if sys.platform.startswith("linux"):
            with contextlib.suppress(OSError):  # a limit of the system
                fcntl.fcntl(self._input.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self.write(request_line(request))

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def waiting_bytes(self) -> int:
        """How many bytes the process has not taken yet."""
        return len(self._waiting)

    def write(self, data: bytes) -> int:
        """Keep `data` for `advance`."""
        self._waiting += data
        return len(data)

    def advance(self) -> int:
        """Hand on what the process takes now, and read what it reports; the number of bytes handed on."""
        taken = 0
        try:
            while self._waiting:
                count = os.write(self._input.fileno(), self._waiting[:PIPE_BYTES])
                del self._waiting[:count]
                taken += count
        except BlockingIOError:
            pass
        except OSError:  # it has ended: its report says why
            self._waiting.clear()
        self._read_reports()
        return taken

    def close(self, seconds: float) -> None:
        """End the stream; the process is killed where that takes longer than `seconds`."""
        deadline = time.monotonic() + seconds
        while self.is_connected and self.failure is None and self._waiting and time.monotonic() < deadline:
            select.select([], [self._input], [], 0.1)
            self.advance()
        with contextlib.suppress(OSError):
            self._input.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, deadline - time.monotonic()) if self.is_connected else 0.0)
        self.kill()

    def kill(self) -> None:
        """End the process at once and free its pipes."""
        self._process.kill()
        self._process.wait()
        self._input.close()
        self._output.close()

    def _read_reports(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._output.fileno(), 4096):
                self._reports += data
            self.failure = self.failure or ENDED
        *lines, self._reports = self._reports.split(b"\n")
        for fields in map(json.loads, lines):
            if fields.pop("event") == "connected":
                self.is_connected = True
            else:
                self.failure = Failure(**fields)
