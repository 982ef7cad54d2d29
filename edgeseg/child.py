"""A child process of our own: a module that gets a request on stdin and ends when its parent ends.

The request is one line of JSON. An address in it is on no command line, where every user of the machine could read it.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

PR_SET_PDEATHSIG = 1
PARENT = "EDGESEG_PARENT"  # set for a command of edgeseg that another one starts: the process that it ends with
CHANGED = ("PYTHONPATH", "PYTHONSAFEPATH")  # variables that a child needs, and a command of the user does not


def start_child(module: str, *, stderr: int, bufsize: int = -1) -> subprocess.Popen[bytes]:
    """Run a module with this interpreter and its import path; its stdin and stdout are pipes."""
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        bufsize=bufsize,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONSAFEPATH": "1"},
        start_new_session=True,  # Ctrl-C in a terminal reaches only the parent, which then ends the child
    )


def request_line(request: Mapping[str, Any]) -> bytes:
    """What a parent writes first to the stdin of a child."""
    own = {name: os.environ.get(name) for name in CHANGED}
    return (json.dumps({**request, "environment": own, "parent": os.getpid()}) + "\n").encode()


def end_with_parent(parent: int) -> None:
    """From here on this process ends with its parent, the process `parent`; at once where that has ended. On Linux."""
    if sys.platform.startswith("linux"):
        _end_by_signal()
        if os.getppid() != parent:  # it ended before the signal was set
            raise SystemExit(1)


def read_request() -> dict[str, Any]:
    """In the child: the request. From here on it ends with its parent (on Linux); at once where that has ended."""
    if sys.platform.startswith("linux"):
        _end_by_signal()
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)  # what follows belongs to the reader of the rest
        if not byte:
            raise SystemExit(1)
        line += byte
    request: dict[str, Any] = json.loads(line)
    if os.getppid() != request["parent"]:  # it ended before the signal was set
        raise SystemExit(1)
    return request


def _end_by_signal() -> None:
    """Have Linux kill this process when the thread that started it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
