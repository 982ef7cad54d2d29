"""What is left of a recording when its process is killed or its disk is full."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from small_clips import noise
from small_streams import result_of, write_frames

from edgeseg.errors import EdgeSegError, FileProblem
from edgeseg.video.frame import Frame
from edgeseg.video.sink import open_sink
from edgeseg.video.source import open_source

PATIENCE_SECONDS = 60
# Writes frames with the times that it is given, says so, and waits to be killed.
RECORDER = """
import json, sys, time
from fractions import Fraction
from small_clips import noise
from small_streams import result_of
from edgeseg.video.frame import Frame
from edgeseg.video.sink import open_sink
from edgeseg.video.source import SourceInfo
sink = open_sink(sys.argv[1], SourceInfo(160, 96, Fraction(25), None, "made up"))
for index, seconds in enumerate(json.loads(sys.argv[2])):
    sink.write(result_of(Frame.from_rgb(index, seconds, noise(index % 8))))
print("written", flush=True)
time.sleep(600)
"""


def kill_while_writing(uri: str, times: list[float]) -> None:
    command = [sys.executable, "-c", RECORDER, uri, json.dumps(times)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "written\n"
    finally:
        child.kill()
        child.wait(PATIENCE_SECONDS)
        child.stdout.close()
    assert child.returncode == -signal.SIGKILL


def times_of(path: Path) -> list[float]:
    """The times of the frames that can be decoded; each of them undamaged."""
    with open_source(path) as source:
        times = [frame.pts_seconds for frame in source]
        assert [loss.code for loss in source.losses] == []
    return times


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 as POSIX has it")
@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv", ".webm"])
def test_kill_9_costs_the_last_second_at_most(tmp_path: Path, ending: str) -> None:
    """A source of 25 fps falls to 4 fps: fragments and key frames go by time, not by count."""
    written = [*(index / 25 for index in range(50)), *(2 + index / 4 for index in range(38))]
    kill_while_writing(f"{tmp_path}/out{ending}", written)
    (partial,) = tmp_path.iterdir()
    assert partial.name.startswith("out.partial-")
    read = times_of(partial)
    assert read == pytest.approx(written[: len(read)], abs=1e-3)
    assert read[-1] >= written[-1] - 1.0


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 as POSIX has it")
@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_kill_9_leaves_every_segment_under_its_name(tmp_path: Path, ending: str) -> None:
    written = [100 + index / 25 for index in range(88)]
    kill_while_writing(f"{tmp_path}/%Y%m%d-%H%M%S{ending}?segment=2", written)
    segments = sorted(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert [path.suffix for path in segments] == [ending] * 2
    first, last = times_of(segments[0]), times_of(segments[1])
    assert first == pytest.approx([index / 25 for index in range(50)], abs=1e-3)
    assert last == pytest.approx([index / 25 for index in range(len(last))], abs=1e-3)
    assert last[-1] >= 37 / 25 - 1.0  # 88 frames less the 50 of the first


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="a limit on the size of files stands in for a disk")
@pytest.mark.parametrize(
    "name", ["out.mp4", "out.mkv", "out.webm", "out.avi", "%Y%m%d-%H%M%S.mp4?segment=60", "a.jsonl"]
)
def test_a_full_disk_is_one_error_and_keeps_what_was_written(tmp_path: Path, name: str) -> None:
    size, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    sink = open_sink(tmp_path / name if "?" not in name else f"{tmp_path}/{name}")
    frames = (Frame.from_rgb(index, index / 25, noise(index)) for index in range(2000))
    try:
        limit = 100_000 if name.endswith(".jsonl") else 1_000_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, size[1]))
        with pytest.raises(FileProblem) as caught:
            write_frames(sink, frames)
        sink.close()  # says nothing more
        sink.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, size)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.code == "ES-FILE-WRITE"
    (path,) = tmp_path.iterdir()
    assert "partial" not in path.name
    if path.suffix == ".jsonl":
        assert len([json.loads(line) for line in path.read_text().splitlines()]) == sink.frames_written > 100
        return
    with open_source(path) as source:
        read = len(list(source))
    assert sink.frames_written - 30 < read <= sink.frames_written  # a second, and what the muxer holds


def test_a_disk_that_is_full_from_the_start_is_not_the_encoders_fault(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    (tmp_path / "out.jsonl").symlink_to("/dev/full")
    with pytest.raises(EdgeSegError) as caught, open_sink(f"jsonl:{tmp_path}/out.jsonl", overwrite=True) as sink:
        sink.write(result_of(Frame.from_rgb(0, 0.0, noise(0))))
    assert caught.value.code == "ES-FILE-WRITE"
