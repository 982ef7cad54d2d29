"""A reader process from its start to its end, whatever it does in between."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from edgeseg.capture import process as process_module
from edgeseg.capture.process import ReaderProcess
from edgeseg.child import start_child

PATIENCE_SECONDS = 60.0  # far more than this takes: only a hang reaches it
pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="signals of POSIX")


class Clock:
    """A clock that stands still until it is told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def shell(script: str) -> dict[str, list[str]]:
    """The request for a script."""
    return {"command": [shutil.which("sh") or "sh", "-c", script]}


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def read_all(process: ReaderProcess) -> bytes:
    data = b""
    while part := os.read(process.stdout, 65536):
        data += part
    return data


@pytest.fixture
def start() -> Iterator[Callable[..., ReaderProcess]]:
    """Starts readers, closes them, and checks that nothing of them is left."""
    me, threads = psutil.Process(), set(threading.enumerate())
    descriptors, processes = me.num_fds(), list[ReaderProcess]()

    def started(request: dict[str, object], seconds: float = PATIENCE_SECONDS, **options: object) -> ReaderProcess:
        processes.append(ReaderProcess(request, seconds, **options))
        return processes[-1]

    yield started
    for process in processes:
        process.close()
        assert is_gone(process.pid)
    # Servers of earlier tests may still close theirs.
    wait_for(lambda: me.num_fds() <= descriptors and set(threading.enumerate()) <= threads)


def test_the_output_of_a_command_arrives_and_its_last_line_is_kept(start: Callable[..., ReaderProcess]) -> None:
    process = start(shell("echo first >&2; printf packets; printf 'no camera\\n\\n' >&2; printf 'bye' >&2"))
    assert read_all(process) == b"packets"
    process.join_reports()
    assert process.last_line == "bye"  # though it has no end of line
    assert (process.failure, process.expired, process.is_complete) == (None, False, False)


def test_a_command_has_the_environment_of_the_user(
    start: Callable[..., ReaderProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/of/the/user")
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    assert read_all(start(shell('printf "$PYTHONPATH,$PYTHONSAFEPATH"'))) == b"/of/the/user,"
    monkeypatch.delenv("PYTHONPATH")
    assert read_all(start(shell('printf "${PYTHONPATH-none}"'))) == b"none"


def test_a_silent_process_is_killed_when_its_time_is_over(start: Callable[..., ReaderProcess]) -> None:
    clock = Clock()
    process = start(shell("printf x; exec sleep 1000"), 5.0, clock=clock)
    assert os.read(process.stdout, 1) == b"x"
    clock.now += 4
    process.allow(10.0)
    clock.now += 9
    assert not process.expired
    clock.now += 2
    assert os.read(process.stdout, 1) == b""  # a read that blocks ends
    process.join_reports()
    assert process.expired


def test_kill_ends_a_read_that_blocks(start: Callable[..., ReaderProcess]) -> None:
    process = start(shell("printf x; exec sleep 1000"))
    assert os.read(process.stdout, 1) == b"x"
    timer = threading.Timer(0.05, process.kill)
    timer.start()
    assert os.read(process.stdout, 1) == b""
    timer.join()
    process.close()
    process.kill()  # the number may belong to another process now: nothing is sent
    process.close()


def test_a_command_that_ignores_sigterm_is_killed_with_its_children(
    start: Callable[..., ReaderProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeseg.capture.process.TERMINATE_SECONDS", 0.2)
    process = start(shell('trap "" TERM; sleep 1000 & echo $!; while true; do sleep 1000; done'))
    child = int(os.read(process.stdout, 100))
    process.close()
    wait_for(lambda: is_gone(child))


def test_a_child_that_outlives_its_command_does_not_hold_up_close(start: Callable[..., ReaderProcess]) -> None:
    process = start(shell('(trap "" TERM; sleep 1000) & echo $!'))
    child = int(os.read(process.stdout, 100))
    process.close()
    wait_for(lambda: is_gone(child))


@pytest.mark.skipif(shutil.which("setsid") is None, reason="setsid is not here")
def test_a_child_that_left_the_group_does_not_hold_up_close(start: Callable[..., ReaderProcess]) -> None:
    process = start(shell("setsid sleep 1000 & sleep 0.2; echo $!"))
    child = int(os.read(process.stdout, 100))
    process.close()
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def test_what_a_command_says_on_stderr_is_no_report(start: Callable[..., ReaderProcess]) -> None:
    lines = [
        "[]", "null", "3", "{", '{"event": "ended"}', '{"event": "failed"}', '{"report": "failed"}',
        '{"report": "other"}', '{"report": []}', "x" * 20000, "\\377\\376", "last",
    ]  # fmt: skip
    process = start(shell("\n".join(f"printf '{line}\\n' >&2" for line in lines)))
    assert read_all(process) == b""
    process.join_reports()
    assert (process.failure, process.is_complete, process.last_line) == (None, False, "last")


def test_no_process_is_left_where_the_system_allows_no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    me, children = psutil.Process(), list[subprocess.Popen[bytes]]()
    descriptors = me.num_fds()

    def recorded(module: str, **options: object) -> subprocess.Popen[bytes]:
        children.append(start_child(module, **options))
        return children[-1]

    monkeypatch.setattr(process_module, "start_child", recorded)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(OSError, match="can't start new thread"):
        ReaderProcess(shell("exec sleep 1000"), PATIENCE_SECONDS)
    assert [is_gone(each.pid) for each in children] == [True]
    wait_for(lambda: me.num_fds() <= descriptors)  # servers of earlier tests may still close theirs


def test_a_failure_to_open_is_reported(start: Callable[..., ReaderProcess], tmp_path: Path) -> None:
    missing = {"kind": "file", "url": str(tmp_path / "none.mp4"), "options": {}, "timeout": 5}
    process, command = start(missing), start({"command": [str(tmp_path / "none")]})
    for each, code in ((process, "ES-SOURCE-NOT-FOUND"), (command, "ES-SOURCE-COMMAND")):
        assert read_all(each) == b""
        each.join_reports()
        assert each.failure is not None
        assert each.failure.code == code


def test_the_request_is_on_no_command_line(start: Callable[..., ReaderProcess]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:  # the process waits for its answer
        url = f"rtsp://u:s3cret@127.0.0.1:{mute.getsockname()[1]}/s"
        process = start({"kind": "rtsp", "url": url, "options": {}, "timeout": PATIENCE_SECONDS})
        read = psutil.Process(process.pid)
        assert "s3cret" not in " ".join(read.cmdline())
        assert "s3cret" not in json.dumps(read.environ())
        process.kill()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a signal of Linux")
def test_the_reader_ends_when_its_parent_is_killed() -> None:
    code = (
        "import os, time\n"
        "from edgeseg.capture.process import ReaderProcess\n"
        "readers = [ReaderProcess({'command': ['sh', '-c', 'printf x; exec sleep 1000']}, 1000)]\n"
        "os.read(readers[0].stdout, 1)\n"
        "print(readers[0].pid, flush=True)\n"
        "time.sleep(1000)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout
        reader = int(parent.stdout.readline())
        assert not is_gone(reader)
        parent.kill()
    wait_for(lambda: is_gone(reader))
