"""A driver whose Ray cluster is gone ends with an error, and neither waits for it nor starts another one."""

from __future__ import annotations

import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from killed_run import KilledRun
from small_batch import make_videos
from small_onnx import street_onnx

from edgeseg.batch.ray_servers import RAY_WAITS, RAYLET_SECONDS, RayServers
from edgeseg.errors import UnavailableError


@pytest.fixture
def listeners() -> Iterator[list[socket.socket]]:
    """In place of the GCS and of the raylet."""
    with socket.create_server(("127.0.0.1", 0)) as gcs, socket.create_server(("127.0.0.1", 0)) as raylet:
        yield [gcs, raylet]


class FakeRay:
    """A cluster of two machines, of which this one is the second."""

    def __init__(self, listeners: list[socket.socket]) -> None:
        self._gcs, self._raylet = (listener.getsockname()[1] for listener in listeners)

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(gcs_address=f"127.0.0.1:{self._gcs}", get_node_id=lambda: "own")

    def nodes(self) -> list[dict[str, Any]]:
        other = {"NodeID": "other", "NodeManagerAddress": "127.0.0.1", "NodeManagerPort": 1}
        return [other, {"NodeID": "own", "NodeManagerAddress": "127.0.0.1", "NodeManagerPort": self._raylet}]


@pytest.mark.parametrize(("gone", "seconds"), [(0, 30.0), (1, RAYLET_SECONDS)])
def test_a_server_that_answers_no_more_is_an_error_after_a_while(
    gone: int, seconds: float, listeners: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RAY_WAITS, "40")
    now = 0.0
    servers = RayServers(FakeRay(listeners), clock=lambda: now)
    now = 100.0
    servers.check()
    listeners[gone].close()
    now = 100.0 + seconds
    servers.check()
    now += 2.0
    with pytest.raises(UnavailableError) as problem:
        servers.check()
    assert problem.value.code == "ES-RAY"


def test_a_server_that_comes_back_is_none(listeners: list[socket.socket]) -> None:
    now = 0.0
    servers = RayServers(FakeRay(listeners), clock=lambda: now)
    place = listeners[0].getsockname()
    listeners[0].close()
    now = 40.0
    servers.check()
    with socket.create_server(place):
        now = 44.0
        servers.check()
    now = 80.0
    servers.check()


def test_a_server_that_cannot_be_reached_from_the_beginning_is_not_watched(listeners: list[socket.socket]) -> None:
    now = 0.0
    listeners[0].close()
    ray = FakeRay([SimpleNamespace(getsockname=lambda: ("127.0.0.1", 1)), listeners[1]])  # type: ignore[list-item]
    servers = RayServers(ray, clock=lambda: now)
    now = 1000.0
    servers.check()


@pytest.mark.slow
@pytest.mark.nightly
def test_a_batch_whose_raylet_is_killed_ends_with_an_error(ray_data: None, tmp_path: Path) -> None:
    make_videos(tmp_path / "in", 80, 20)
    street_onnx(tmp_path)
    command = f"{sys.executable} -m edgeseg batch in street.onnx --engine onnxruntime -o out --ray local".split()
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as ray:
        environment = {"RAY_worker_niceness": "0", "RAY_TMPDIR": ray}
        with KilledRun(command, tmp_path, seconds=240, **environment) as run:
            run.wait_until(lambda: any((tmp_path / "out").glob("*.json")), "a unit was done")
            (raylet,) = run.processes("/raylet/raylet")
            raylet.kill()
            assert run.exit_code() == 2, run.output
            assert "ES-RAY" in run.output
            assert list((tmp_path / "out" / ".partial").iterdir()) == []
            run.wait_until(lambda: not run.processes(), "the last of its processes ended")
