"""`edgeseg batch` as a user types it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_batch import BROKEN, RunnerInProcess, label_files, make_broken, make_videos, markers
from small_cli import Run, runner
from small_onnx import street_onnx

from edgeseg.batch.attempt import PARTIAL
from edgeseg.batch.batch import BatchReport
from edgeseg.commands.batch import ShownBatch


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs commands in a folder with a model, 6 videos and 5 broken ones."""
    monkeypatch.chdir(tmp_path)
    street_onnx(tmp_path)
    make_broken(make_videos(tmp_path / "in", 6))
    return runner(monkeypatch, capfd)


WORDS = ("batch", "in", "street.onnx", "--engine", "onnxruntime", "--write", "masks/")
LONG = 400  # frames, of some 20 ms each: it must not end before it is stopped, however busy this process is


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units are done in this process; tests/batch have the processes."""
    monkeypatch.setattr("edgeseg.batch.batch.LocalRunner", RunnerInProcess)


def test_local_and_shards_give_the_same_labels_and_a_rerun_does_nothing(run: Run, in_process: None) -> None:
    done = run(*WORDS, "-o", "local", "--processes", "2", "--json").json()
    assert (done["done"], done["failed"], done["frames"], done["open"]) == (6, 5, 18, 0)
    assert (done["processes"], done["runtime"], done["before"]) == (2, "onnxruntime", 0)
    assert sorted(error["code"] for error in done["errors"]) == sorted(BROKEN.values())
    shards = [run(*WORDS, "-o", "shards", "--processes", "1", "--shard", f"{i}/2", "--json").json() for i in (1, 2)]
    assert [sum(shard[key] for shard in shards) for key in ("done", "failed", "open")] == [6, 5, 0]
    assert label_files(Path("shards")) == label_files(Path("local"))
    assert len(label_files(Path("local"))) == 18
    merged = run("batch", "--merge", "shards", "--json").json()
    assert [merged[key] for key in ("done", "failed", "frames", "open")] == [6, 5, 18, 0]
    times = {path: path.stat().st_mtime_ns for path in Path("local").rglob("*") if path.is_file()}
    again = run(*WORDS, "-o", "local", "--json").json()
    assert (again["done"], again["failed"], again["before"]) == (0, 0, 11)
    assert {path: path.stat().st_mtime_ns for path in Path("local").rglob("*") if path.is_file()} == times


def test_the_tables_name_the_errors_and_what_remains(run: Run, in_process: None) -> None:
    done = run(*WORDS, "-o", "out", "--processes", "1")
    assert done.code == 0
    for name, code in BROKEN.items():
        assert name in done.out
        assert code in done.out
    assert done.lines("wrote") == []
    assert "wrote out" in done.err
    assert "next: edgeseg batch --merge out" in done.err
    Path("in/text.mp4").write_bytes(Path("in/drive-000.mp4").read_bytes())
    merged = run("batch", "--merge", "out")
    assert " 11 " in merged.out
    again = run(*WORDS, "-o", "out", "--processes", "1", "--retry-errors", "--json").json()
    assert (again["done"], again["failed"], again["before"]) == (1, 4, 6)


def test_the_sum_says_which_shards_and_how_many_units_are_missing(run: Run, in_process: None) -> None:
    for index in (1, 3):
        assert run(*WORDS, "-o", "out", "--processes", "1", "--shard", f"{index}/4").code == 0
    merged = run("batch", "--merge", "out", "--json").json()
    assert (merged["missing_shards"], merged["open"]) == (["2/4", "4/4"], 0)
    next(Path("out").glob("*.json")).unlink()
    told = run("batch", "--merge", "out")
    assert "2 shards have not begun in this folder: 2/4, 4/4" in told.err
    assert "1 units of the shards that have begun remain" in told.err
    for index in (1, 2, 3, 4):
        assert run(*WORDS, "-o", "out", "--processes", "1", "--shard", f"{index}/4").code == 0
    merged = run("batch", "--merge", "out", "--json").json()
    assert (merged["missing_shards"], merged["open"], merged["done"]) == ([], 0, 6)
    assert run(*WORDS, "-o", "out", "--processes", "1", "--shard", "1/2").code == 0
    assert run("batch", "--merge", "out", "--json").json()["missing_shards"] == ["2/2"]


def test_a_command_without_its_arguments_is_an_error(run: Run) -> None:
    for words, code in (
        (("batch",), "ES-USAGE"),
        (("batch", "street.onnx"), "ES-USAGE"),
        (("batch", "in", "street.onnx"), "ES-USAGE"),
        ((*WORDS, "-o", "out", "--shard", "3/2"), "ES-FORMAT-SHARD"),
        ((*WORDS, "-o", "out", "--write", "/masks/"), "ES-FORMAT-OPTION"),
        ((*WORDS, "-o", "out", "--overlap", "8"), "ES-MISMATCH-OPTIONS"),
        (("batch", "in", "none.onnx", "-o", "out"), "ES-FILE-MISSING"),
        (("batch", "camera:0", "street.onnx", "-o", "out"), "ES-FORMAT-LIVE"),
        (("batch", "--merge", "in"), "ES-DATA-EMPTY"),
    ):
        done = run(*words)
        assert (done.code, done.error_code) == (2, code), words
    assert not Path("out").exists()


def test_the_time_that_is_left_follows_from_the_units_so_far() -> None:
    lines: list[tuple[object, ...]] = []
    now = 0.0
    shown = ShownBatch(lambda *words: lines.append(words), 100, clock=lambda: now)
    now = 10.0
    shown.on_frames("frames", 50, None)
    assert lines[-1] == ("batch", 0, 100, "5.0 frames/s, 0 errors")
    report = BatchReport()
    report.summary.done, report.summary.failed, report.summary.frames = 4, 1, 60
    shown.on_row(report)
    assert lines[-1] == ("batch", 5, 100, "6.0 frames/s, 1 errors, 3 min left")


@pytest.mark.slow
def test_a_batch_that_is_stopped_and_one_that_is_killed_are_finished_by_a_rerun(run: Run, tmp_path: Path) -> None:
    """Ctrl-C, then kill -9 of the process that hands out the units; at random moments in test_two_hundred.py."""
    make_videos(tmp_path / "in", 1, frames=LONG)  # drive-000, the third of the sources, takes a while
    command = [sys.executable, "-m", "edgeseg", *WORDS, "-o", "out", "--processes", "1", "--json"]
    markers_before: dict[Path, int] = {}
    for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not list(Path("out").glob(f"{PARTIAL}/*/outputs/masks/*.png")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait() == code
        after = {path: path.stat().st_mtime_ns for path in Path("out").glob("*.json")}
        assert {path: after[path] for path in markers_before} == markers_before
        markers_before = after
        if number == signal.SIGINT:
            assert list((tmp_path / "out" / PARTIAL).iterdir()) == []
    done = run(*WORDS, "-o", "out", "--processes", "1", "--json").json()
    assert (done["open"], done["before"]) == (0, len(markers_before))
    assert set(markers(Path("out"))) == {path.name for path in Path("in").iterdir()}
    assert len(label_files(Path("out"))) == 5 * 3 + LONG
    assert {path: path.stat().st_mtime_ns for path in markers_before} == markers_before
    assert list((tmp_path / "out" / PARTIAL).iterdir()) == []
