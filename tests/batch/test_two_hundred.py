"""200 videos, 5 of them broken, through every runner, and with processes that are killed at random moments."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from killed_run import KilledRun
from small_batch import BROKEN, label_files, make_broken, make_videos, markers
from small_onnx import street_onnx

from edgeseg.batch.attempt import PARTIAL
from edgeseg.batch.listing import FOLDER

GOOD, FRAMES = 195, 3
SECONDS = 240.0  # of a run, on a machine with other work
MOST_DONE = 120  # of the units, before a run that is killed: there is work for it
# How each run ends, after processes that do units were killed; the driver is the process that hands them out.
ENDS = {"local": ("driver", "all") * 3, "ray": ("driver", "all") * 2}  # Ray takes half a minute to start
WORKERS_KILLED = 2  # in each of these runs, and in the last one, which finishes
WORKER = {"local": "edgeseg.batch.worker", "ray": "ray::MapWorker"}  # words in its command line
WORDS = {"local": ("--processes", "2"), "ray": ("--ray", "local")}
pytestmark = [pytest.mark.slow, pytest.mark.nightly]


@dataclasses.dataclass(frozen=True)
class Folder:
    """The folder of a batch: in/ with the videos, and a model. ray: for the files of Ray."""

    path: Path
    ray: Path

    def command(self, out: str, *words: str) -> list[str]:
        return [
            sys.executable, "-m", "edgeseg", "batch", "in", "street.onnx", "--engine", "onnxruntime",
            "--write", "masks/", "-o", out, *words,
        ]  # fmt: skip

    def start(self, out: str, *words: str) -> KilledRun:
        # Ray gives its workers a low priority: beside other work they would take minutes.
        ray = {"RAY_worker_niceness": "0", "RAY_TMPDIR": str(self.ray)}
        return KilledRun(self.command(out, *words), self.path, seconds=SECONDS, **ray)

    def run(self, out: str, *words: str) -> None:
        with self.start(out, *words) as run:
            assert run.exit_code() == 0, run.output

    def times(self, out: str) -> dict[Path, int]:
        """When each marker was written."""
        return {path: path.stat().st_mtime_ns for path in (self.path / out).glob("*.json")}

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
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    path = tmp_path_factory.mktemp("batch")
    make_broken(make_videos(path / "in", GOOD, FRAMES))
    street_onnx(path)
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as ray:  # the path of a socket is short
        yield Folder(path, Path(ray))


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


@pytest.mark.parametrize("runner", ENDS)
def test_killed_at_random_moments_it_is_finished_by_a_rerun(
    runner: str, folder: Folder, labels: dict[str, bytes], request: pytest.FixtureRequest
) -> None:
    if runner == "ray":
        request.getfixturevalue("ray_data")
    out, chance = f"killed-{runner}", random.Random(1)
    before: dict[Path, int] = {}
    with contextlib.ExitStack() as stack:
        runs = []
        for end in (*ENDS[runner], "finished"):
            while len(before) > MOST_DONE:
                before.popitem()[0].unlink()
            run = stack.enter_context(folder.start(out, *WORDS[runner]))
            runs.append(run)
            for _ in range(WORKERS_KILLED):
                wait_for_units(run, folder, out, chance)
                kill_worker(run, WORKER[runner])
            if end == "finished":
                assert run.exit_code() == 0, run.output
            else:
                wait_for_units(run, folder, out, chance)
                assert run.is_running(), run.output
                run.kill_driver() if end == "driver" else run.kill_all()
            after = folder.times(out)
            assert {path: after.get(path) for path in before} == before  # nothing was done twice
            before = after
            assert not any(earlier.processes(WORKER[runner]) for earlier in runs[:-1])
        assert folder.check(out) == labels
        for run in runs:
            run.wait_until(lambda run=run: not run.processes(), "the last of its processes ended")  # type: ignore[misc]


def wait_for_units(run: KilledRun, folder: Folder, out: str, chance: random.Random) -> None:
    """Wait until some more units are done, and then a moment."""
    wanted = len(folder.times(out)) + chance.randrange(1, 8)
    run.wait_until(lambda: len(folder.times(out)) >= wanted or not run.is_running(), f"{wanted} units were done")
    time.sleep(chance.random() * 0.05)


def kill_worker(run: KilledRun, word: str) -> None:
    """kill -9 of a process that does units."""
    workers = run.processes(word)
    assert workers, run.output
    workers[0].kill()
