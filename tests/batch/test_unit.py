"""A unit leaves its outputs and a marker, or nothing, and never raises."""

from __future__ import annotations

import dataclasses
import errno
import json
import threading
from pathlib import Path
from typing import Any

import av
import pytest
from small_batch import BROKEN, label_files, make_broken, make_videos, small_job, units_in
from small_clips import make_images

from edgeseg.batch import unit as unit_module
from edgeseg.batch.attempt import PARTIAL, Attempt, remove_leftovers
from edgeseg.batch.batch import todo_of
from edgeseg.batch.job import checked_sinks
from edgeseg.batch.markers import marked_digests, merged
from edgeseg.batch.shard import Shard
from edgeseg.batch.sources import units_from_sources
from edgeseg.batch.unit import MOST_ATTEMPTS, SegmentVideo
from edgeseg.batch.units import Unit
from edgeseg.engines.tensorrt.cuda.cuda import CudaError
from edgeseg.errors import DataError, EdgeSegError, FileProblem
from edgeseg.video.sink_jsonl import JsonLinesSink


def do(work: SegmentVideo, unit: Unit) -> dict[str, Any]:
    return work(dataclasses.asdict(unit))


def attempts_in(out: Path) -> list[Path]:
    return list((out / PARTIAL).iterdir())


def caused(problem: Exception) -> FileProblem:
    """The error of a file that `problem` caused."""
    error = FileProblem("cannot read it", hint="check it", code="ES-FILE-READ")
    error.__cause__ = problem
    return error


def test_a_unit_leaves_its_outputs_and_a_marker(tmp_path: Path) -> None:
    job = small_job(tmp_path, "masks/", "overlay.mp4", "images:overlays/", "results.jsonl?rle=0&polygons=1")
    out = Path(job.out)
    (unit,) = units_in(make_videos(tmp_path / "in", 1), job)
    row = do(SegmentVideo(job.to_dict()), unit)
    assert (row["error"], row["frames"], row["marked"], row["losses"]) == (None, 3, True, [])
    assert json.loads((out / f"{unit.digest}.json").read_text()) == row
    folder = out / row["outputs"]
    assert sorted(path.name for path in folder.iterdir()) == ["masks", "overlay.mp4", "overlays", "results.jsonl"]
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == [0, 1, 2]
    assert all("shares" in line and "polygons" in line and "rle" not in line for line in lines)
    assert attempts_in(out) == []
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert do(SegmentVideo(job.to_dict()), unit) == row  # it is not done twice
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before


def test_a_folder_of_images_is_a_unit(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    (unit,) = units_in(make_images(tmp_path / "in", 3), job)
    row = do(SegmentVideo(job.to_dict()), unit)
    assert (row["error"], row["frames"]) == (None, 3)
    assert sorted(label_files(Path(job.out))) == ["in/img1.png", "in/img2.png", "in/img3.png"]


def test_a_unit_may_take_some_of_the_frames_alone(tmp_path: Path) -> None:
    job = dataclasses.replace(small_job(tmp_path), sample="12.5")
    (unit,) = units_in(make_videos(tmp_path / "in", 1), job)  # 3 frames at 25 a second
    row = do(SegmentVideo(job.to_dict()), unit)
    assert (row["error"], row["frames"]) == (None, 2)


def test_a_broken_source_is_a_row_with_an_error_and_a_marker(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    out = Path(job.out)
    work = SegmentVideo(job.to_dict())
    units = [*units_in(make_broken(tmp_path / "in"), job), *units_from_sources(["missing.mp4"], job.digest, out)]
    rows = [do(work, unit) for unit in units]
    codes = {Path(row["source"]).name: row["error"]["code"] for row in rows}
    assert codes == {**BROKEN, "missing.mp4": "ES-FILE-MISSING"}
    assert all(row["marked"] and row["error"]["message"] and row["error"]["hint"] for row in rows)
    assert marked_digests(out) == {unit.digest for unit in units}
    assert [path.name for path in out.iterdir() if path.is_dir()] == [PARTIAL]
    assert attempts_in(out) == []
    assert merged(out).error_codes == {"ES-SOURCE-FORMAT": 4, "ES-SOURCE-UNDECODABLE": 1, "ES-FILE-MISSING": 1}


@pytest.mark.parametrize(
    ("problem", "code", "is_marked"),
    [
        (FileProblem("the disk is full", hint="free space", code="ES-FILE-WRITE"), "ES-FILE-WRITE", False),
        (OSError(24, "too many open files"), "ES-SYSTEM", False),
        (MemoryError(), "ES-MISSING-MEMORY", False),
        (caused(OSError(errno.ENOSPC, "no space left")), "ES-SYSTEM", False),
        (caused(OSError(errno.EIO, "the disk")), "ES-SYSTEM", False),
        (caused(OSError(errno.EACCES, "permission denied")), "ES-FILE-READ", True),
        (caused(av.FFmpegError(errno.EIO, "cut short")), "ES-FILE-READ", True),
        (caused(av.FFmpegError(errno.EMFILE, "too many open files")), "ES-SYSTEM", False),
        (CudaError("cuMemcpyDtoH", "CUDA_ERROR_ILLEGAL_ADDRESS"), "ES-MISSING-CUDA", False),
        (RuntimeError("CUDA error: device-side assert triggered"), "ES-RUN", False),
        (RuntimeError("CUDA out of memory"), "ES-MISSING-MEMORY", False),
        (ZeroDivisionError("in a library"), "ES-ERROR", True),
    ],
)
def test_an_error_of_the_machine_leaves_no_marker(
    problem: Exception, code: str, is_marked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*words: Any, **options: Any) -> None:
        raise problem

    job = small_job(tmp_path)
    (unit,) = units_in(make_videos(tmp_path / "in", 1), job)
    monkeypatch.setattr(unit_module, "stream", fail)
    row = do(SegmentVideo(job.to_dict()), unit)
    assert (row["error"]["code"], row["marked"]) == (code, is_marked)
    assert bool(marked_digests(Path(job.out))) is is_marked
    assert attempts_in(Path(job.out)) == []


def test_a_file_of_which_the_system_says_nothing_is_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = small_job(tmp_path)
    (unit,) = units_in(make_videos(tmp_path / "in", 1), job)
    Path(unit.source).unlink()
    work, stat = SegmentVideo(job.to_dict()), Path.stat

    def fail(path: Path, **options: Any) -> Any:
        if str(path) == unit.source:
            raise OSError(errno.ESTALE, "stale file handle")
        return stat(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", fail)
        row = do(work, unit)
    assert (row["error"]["code"], row["marked"]) == ("ES-SYSTEM", False)
    row = do(work, unit)
    assert (row["error"]["code"], row["marked"]) == ("ES-FILE-MISSING", True)


def test_a_unit_over_which_processes_die_is_given_up(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    out = Path(job.out)
    (unit,) = units_in(make_videos(tmp_path / "in", 1), job)
    work = SegmentVideo(job.to_dict())
    for _ in range(MOST_ATTEMPTS):  # what killed processes leave behind
        Attempt(out, unit)
    row = do(work, unit)
    assert (row["error"]["code"], row["marked"]) == ("ES-BATCH-DIED", True)
    assert attempts_in(out) == []


def test_what_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    out = Path(job.out)
    (unit,) = units_in(make_videos(tmp_path / "in", 1), job)
    work = SegmentVideo(job.to_dict())
    row = do(work, unit)
    labels = label_files(out)
    (out / f"{unit.digest}.json").unlink()  # it was killed between its outputs and its marker
    (out / row["outputs"] / "masks" / "000002.png").unlink()
    Attempt(out, unit)
    assert do(work, unit)["marked"]
    assert label_files(out) == labels
    assert attempts_in(out) == []


def test_an_attempt_that_was_ended_from_outside_writes_no_marker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = small_job(tmp_path)
    out = Path(job.out)
    (unit,) = units_in(make_videos(tmp_path / "in", 1), job)
    stream = unit_module.stream

    def ended(*words: Any, **options: Any) -> Any:
        report = stream(*words, **options)
        remove_leftovers(out, [unit.digest])
        return report

    monkeypatch.setattr(unit_module, "stream", ended)
    row = do(SegmentVideo(job.to_dict()), unit)
    assert (row["error"]["code"], row["marked"]) == ("ES-STOPPED", False)
    assert marked_digests(out) == set()
    assert label_files(out) == {}


def test_a_stop_leaves_nothing(tmp_path: Path) -> None:
    stop = threading.Event()
    job = small_job(tmp_path)
    (unit,) = units_in(make_videos(tmp_path / "in", 1), job)
    work = SegmentVideo(job.to_dict(), progress=lambda task, done, total: stop.set(), stop=stop)
    row = do(work, unit)
    assert (row["error"]["code"], row["marked"]) == ("ES-STOPPED", False)
    assert marked_digests(Path(job.out)) == set()
    assert attempts_in(Path(job.out)) == []


def test_a_source_by_url_gives_the_labels_of_the_file(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    job = small_job(tmp_path)
    folder = make_images(make_videos(tmp_path / "in", 1), 2)
    work = SegmentVideo(job.to_dict())
    for unit in units_in(folder, job):
        assert do(work, unit)["error"] is None
    here = label_files(Path(job.out))
    memory = fsspec.filesystem("memory")
    memory.put(str(folder), "/batch/in", recursive=True)
    try:
        remote = dataclasses.replace(job, out=str(tmp_path / "remote"))
        units = units_from_sources(["memory://batch/in/"], job.digest, tmp_path / "remote")
        rows = [do(SegmentVideo(remote.to_dict()), unit) for unit in units]
        assert [row["error"] for row in rows] == [None, None]
        assert {name.partition("/")[2]: data for name, data in label_files(tmp_path / "remote").items()} == {
            name.partition("/")[2]: data for name, data in here.items()
        }
        missing = dataclasses.replace(units[1], source="memory:///batch/in/gone.mp4", digest="f" * 64)
        assert do(SegmentVideo(remote.to_dict()), missing)["error"]["code"] == "ES-FILE-MISSING"
    finally:
        memory.rm("/batch", recursive=True)


def test_a_source_that_cannot_be_fetched_leaves_no_marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec = pytest.importorskip("fsspec")
    job = small_job(tmp_path)
    memory = fsspec.filesystem("memory")
    memory.pipe("/batch/a.mp4", b"video")
    try:
        (unit,) = units_from_sources(["memory://batch/"], job.digest, Path(job.out))

        def fail(*words: Any, **options: Any) -> None:
            raise ConnectionResetError(104, "connection reset by peer")

        monkeypatch.setattr(type(memory), "get_file", fail)
        row = do(SegmentVideo(job.to_dict()), unit)
    finally:
        memory.rm("/batch", recursive=True)
    assert (row["error"]["code"], row["marked"]) == ("ES-FILE-FETCH", False)
    assert marked_digests(Path(job.out)) == set()


def test_the_job_changes_its_digest_with_what_changes_an_output(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    for change in (
        {"opacity": 0.3},
        {"write": ("overlay.mp4",)},
        {"sha256": "0"},
        {"runtime": "openvino"},
        {"frames": 1},
        {"sample": "1"},
    ):
        assert dataclasses.replace(job, **change).digest != job.digest
    for change in ({"threads": 2}, {"device": "cpu"}, {"out": "elsewhere"}, {"engine": "/moved/engine.onnx"}):
        assert dataclasses.replace(job, **change).digest == job.digest


@pytest.mark.parametrize(
    ("uris", "code"),
    [
        (("/tmp/overlay.mp4",), "ES-FORMAT-OPTION"),
        (("../overlay.mp4",), "ES-FORMAT-OPTION"),
        (("rtsp://host/path",), "ES-FORMAT-OPTION"),
        (("window",), "ES-FORMAT-OPTION"),
        (("masks/", "images:masks/"), "ES-FILE-SAME"),
        (("overlay",), "ES-NAME"),
    ],
)
def test_a_sink_that_is_not_within_the_folder_of_a_unit_is_an_error(uris: tuple[str, ...], code: str) -> None:
    with pytest.raises(EdgeSegError) as problem:
        checked_sinks(uris)
    assert problem.value.code == code


def test_a_damaged_marker_is_left_out_of_the_sum(tmp_path: Path) -> None:
    with pytest.raises(DataError) as problem:
        merged(tmp_path)
    assert problem.value.code == "ES-DATA-EMPTY"
    job = small_job(tmp_path)
    (unit,) = units_in(make_videos(tmp_path / "in", 1), job)
    do(SegmentVideo(job.to_dict()), unit)
    (Path(job.out) / f"{'0' * 64}.json").write_text("{")
    summary = merged(Path(job.out))
    assert (summary.done, summary.failed, summary.frames) == (1, 0, 3)


def test_a_unit_with_a_damaged_marker_is_done_again(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    out = Path(job.out)
    (unit,) = units_in(make_videos(tmp_path / "in", 1), job)
    work = SegmentVideo(job.to_dict())
    do(work, unit)
    (out / f"{unit.digest}.json").write_text("{")
    assert todo_of([unit], out, Shard()) == ([unit], 0)
    assert do(work, unit)["marked"]
    assert todo_of([unit], out, Shard()) == ([], 1)


def test_the_sum_has_the_newest_row_of_each_source_and_job(tmp_path: Path) -> None:
    for options in ({}, {"opacity": 0.3}):
        job = small_job(tmp_path, **options)
        work = SegmentVideo(job.to_dict())
        for frames in (3, 5, 2):
            (unit,) = units_in(make_videos(tmp_path / "in", 1, frames), job)
            do(work, unit)
    assert len(marked_digests(Path(job.out))) == 6
    summary = merged(Path(job.out))
    assert (summary.done, summary.frames, len(summary.jobs)) == (2, 4, 2)


def test_an_attempt_whose_unit_another_process_did_changes_nothing(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    out = Path(job.out)
    (unit,) = units_in(make_videos(tmp_path / "in", 1), job)
    row = do(SegmentVideo(job.to_dict()), unit)
    late = Attempt(out, unit)
    (late.outputs / "late").touch()
    assert not late.commit({**row, "seconds": 0.0})
    assert json.loads((out / f"{unit.digest}.json").read_text()) == row
    assert [path.name for path in (out / row["outputs"]).iterdir()] == ["masks"]


def test_a_file_is_on_the_disk_before_the_marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = small_job(tmp_path, "masks/", "results.jsonl")
    (unit,) = units_in(make_videos(tmp_path / "in", 1), job)
    synced: list[str] = []
    monkeypatch.setattr("edgeseg.batch.attempt.sync_to_disk", lambda path: synced.append(path.name))
    do(SegmentVideo(job.to_dict()), unit)
    assert synced == ["results.jsonl", "marker.json"]


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (FileProblem("the disk is full", hint="free space", code="ES-FILE-WRITE"), "ES-FILE-WRITE"),
        (OSError(errno.EIO, "the disk"), "ES-SINK"),
    ],
)
def test_an_output_that_fails_beside_another_leaves_no_marker(
    problem: Exception, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(sink: JsonLinesSink, result: Any) -> bool:
        raise problem

    job = small_job(tmp_path, "masks/", "results.jsonl")
    (unit,) = units_in(make_videos(tmp_path / "in", 1), job)
    monkeypatch.setattr(JsonLinesSink, "_write", fail)
    row = do(SegmentVideo(job.to_dict()), unit)
    assert (row["error"]["code"], row["marked"]) == (code, False)
    assert marked_digests(Path(job.out)) == set()
    assert label_files(Path(job.out)) == {}
