"""200 videos, 5 of them broken, through every runner, and with processes that are killed at random moments."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from small_batch import BROKEN, label_files, make_broken, make_videos, markers
from small_onnx import street_onnx

from edgeseg.batch.attempt import PARTIAL
from edgeseg.batch.listing import FOLDER

GOOD, FRAMES = 195, 3
KILLS = {"local": 20}  # not "ray", of which each takes half a minute
pytestmark = [pytest.mark.slow, pytest.mark.nightly]


@dataclasses.dataclass(frozen=True)
class Folder:
    """The folder of a batch: in/ with the videos, and a model."""

    path: Path

    def command(self, out: str, *words: str) -> list[str]:
        return [
            sys.executable, "-m", "edgeseg", "batch", "in", "street.onnx", "--engine", "onnxruntime",
            "--write", "masks/", "-o", out, *words,
        ]  # fmt: skip

    def run(self, out: str, *words: str) -> None:
        done = subprocess.run(self.command(out, *words), cwd=self.path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def check(self, out: str) -> dict[str, bytes]:
        """195 good units, 5 errors, and nothing half-written; the labels."""
        rows = markers(self.path / out)
        errors = {name: row["error"]["code"] for name, row in rows.items() if row["error"] is not None}
        assert errors == BROKEN
        assert len(rows) == GOOD + len(BROKEN)
        labels = label_files(self.path / out)
        assert len(labels) == GOOD * FRAMES
        entries = {path.name for path in (self.path / out).iterdir()} - {FOLDER}
        expected = {row["outputs"] for row in rows.values() if row["error"] is None}
        assert entries == expected | {f"{row['digest']}.json" for row in rows.values()} | {PARTIAL}
        assert list((self.path / out / PARTIAL).iterdir()) == []
        return labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    path = tmp_path_factory.mktemp("batch")
    make_broken(make_videos(path / "in", GOOD, FRAMES))
    street_onnx(path)
    return Folder(path)


@pytest.fixture(scope="module")
def labels(folder: Folder) -> dict[str, bytes]:
    """Those of the local runner."""
    folder.run("local")
    return folder.check("local")


def test_shards_give_the_same(folder: Folder, labels: dict[str, bytes]) -> None:
    for index in (1, 2, 3):
        folder.run("shards", "--shard", f"{index}/3")
    assert folder.check("shards") == labels


def test_ray_gives_the_same(ray_data: None, folder: Folder, labels: dict[str, bytes]) -> None:
    folder.run("ray", "--ray", "local")
    assert folder.check("ray") == labels


@pytest.mark.parametrize("runner", KILLS)
def test_killed_at_random_moments_it_is_finished_by_a_rerun(
    runner: str, folder: Folder, labels: dict[str, bytes], request: pytest.FixtureRequest
) -> None:
    if runner == "ray":
        request.getfixturevalue("ray_data")
    out = f"killed-{runner}"
    words = ("--ray", "local") if runner == "ray" else ("--processes", "2")
    chance = random.Random(1)
    times: dict[Path, int] = {}
    family: list[psutil.Process] = []
    for number in range(KILLS[runner]):
        kind = ("worker", "driver", "all")[number % 3]
        process = subprocess.Popen(
            folder.command(out, *words), cwd=folder.path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        # a few more of the 200 units each time
        wait_for_markers(process, folder.path / out, len(times) + chance.randrange(1, 8), chance.random() * 0.2)
        kill_all(family)  # what a killed driver of Ray left behind; it was alive beside this run until now
        family = kill(process, kind)
        process.wait()
        after = {path: path.stat().st_mtime_ns for path in (folder.path / out).glob("*.json")}
        assert {path: after.get(path) for path in times} == times  # nothing was done twice
        times = after
        if kind == "worker":
            assert process.returncode == 0  # it came to its end: the next ones need work
            for path in sorted(times)[: len(times) * 3 // 4]:
                path.unlink()
                del times[path]
    kill_all(family)
    folder.run(out, *words)
    assert folder.check(out) == labels
    after = {path: path.stat().st_mtime_ns for path in (folder.path / out).glob("*.json")}
    assert {path: after[path] for path in times} == times


def wait_for_markers(process: subprocess.Popen[bytes], out: Path, count: int, seconds: float) -> None:
    """Wait until there are so many markers, and then a moment."""
    while process.poll() is None and len(list(out.glob("*.json"))) < count:
        time.sleep(0.02)
    time.sleep(seconds)


def kill(process: subprocess.Popen[bytes], kind: str) -> list[psutil.Process]:
    """kill -9 of a process that does units, of the one that hands them out, or of all; what may be left of it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
        if kind == "worker":
            kill_all([child for child in family if is_worker(child)][:1])
            return []
        os.kill(process.pid, signal.SIGKILL)
        if kind == "all":
            kill_all(family)
        return family
    return []


def kill_all(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def is_worker(process: psutil.Process) -> bool:
    """Whether it does units: a process of the local runner, or an actor of Ray."""
    with contextlib.suppress(psutil.Error):
        words = " ".join(process.cmdline())
        return "edgeseg.batch.worker" in words or "MapWorker" in words
    return False
