"""A run of `edgeseg batch` whose processes are killed. It can neither hang the tests nor outlive them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import psutil
import pytest

TAIL = 3000  # characters of the output
POLL_SECONDS = 0.02


class KilledRun:
    """A command in a session of its own, so that processes whose parent has died are found, too.

    seconds: of the whole run; one that takes longer is killed, and the test fails with the end of the output. Use it as
    a context manager: at the end every process of it is killed.
    """

    def __init__(self, command: list[str], folder: Path, *, seconds: float, **environment: str) -> None:
        self._log = folder / "log.txt"
        with self._log.open("wb") as log:
            self._driver = psutil.Popen(
                command,
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **environment},
            )
        self._deadline = time.monotonic() + seconds
        self._seen: set[psutil.Process] = {self._driver}

    def __enter__(self) -> KilledRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill_all()

    @property
    def output(self) -> str:
        """The end of what it printed."""
        return self._log.read_text(errors="replace")[-TAIL:]

    def processes(self, word: str = "") -> list[psutil.Process]:
        """Those that live, with `word` in their command line: of its session, or children, which may have their own."""
        with contextlib.suppress(psutil.Error):
            self._seen.update(self._driver.children(recursive=True))
        for process in psutil.process_iter():
            with contextlib.suppress(OSError):
                if os.getsid(process.pid) == self._driver.pid:
                    self._seen.add(process)
        return [process for process in self._seen if is_alive(process) and word in command_line(process)]

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition. The test fails where the run takes too long."""
        while not condition():
            if time.monotonic() > self._deadline:
                names = [command_line(process)[:100] for process in self.processes()]
                self.kill_all()
                pytest.fail(f"it took too long until {what}; alive: {names}; the end of its output:\n{self.output}")
            time.sleep(POLL_SECONDS)

    def is_running(self) -> bool:
        """Whether the driver lives."""
        return self._driver.poll() is None

    def exit_code(self) -> int:
        """That of the driver, at its end."""
        self.wait_until(lambda: not self.is_running(), "it ended")
        return int(self._driver.wait())

    def kill_driver(self) -> None:
        """kill -9 of the process that hands out the work. The others are known before."""
        self.processes()
        self._driver.kill()
        self._driver.wait()

    def kill_all(self) -> None:
        """kill -9 of every process, also of those that start meanwhile."""
        while processes := self.processes():
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            time.sleep(POLL_SECONDS)
        self._driver.wait()


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs, and is not just the entry of one that has ended."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def command_line(process: psutil.Process) -> str:
    """Its words; "" for one that has ended."""
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""
