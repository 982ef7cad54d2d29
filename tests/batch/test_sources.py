"""What a user names becomes units: each video, and each folder of images, once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from small_clips import make_images

from edgeseg.batch.batch import todo_of
from edgeseg.batch.shard import Shard
from edgeseg.batch.sources import units_from_sources
from edgeseg.batch.units import Unit, outputs_name
from edgeseg.errors import DataError, FileProblem, FormatError, UnavailableError
from edgeseg.video.source import open_source


def touched(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"video")


def units(tmp_path: Path, *sources: str | Path, job: str = "job") -> list[Unit]:
    return units_from_sources([str(source) for source in sources], job, tmp_path / "out")


def names(tmp_path: Path, *sources: str | Path) -> list[str]:
    return [os.path.relpath(unit.source, tmp_path) for unit in units(tmp_path, *sources)]


def test_a_folder_gives_its_videos_and_the_folders_of_images_in_it(tmp_path: Path) -> None:
    touched(tmp_path / "a.mp4", tmp_path / "b" / "c.MKV", tmp_path / "b" / "notes.txt", tmp_path / ".hidden" / "d.mp4")
    touched(tmp_path / "out" / "a-0" / "overlay.mp4", tmp_path / "b" / ".e.mp4")
    make_images(tmp_path / "b" / "frames", 2)
    assert names(tmp_path, tmp_path) == ["a.mp4", "b/c.MKV", "b/frames"]


def test_a_glob_gives_videos_and_the_images_that_it_matches(tmp_path: Path) -> None:
    touched(tmp_path / "a" / "1.mp4", tmp_path / "b" / "2.mp4", tmp_path / "out" / "x" / "overlay.mp4")
    make_images(tmp_path / "a" / "[1]", 3)
    assert names(tmp_path, tmp_path / "**" / "*.mp4") == ["a/1.mp4", "b/2.mp4"]
    (some,) = units(tmp_path, tmp_path / "a" / "*" / "img[12].png")
    assert len(list(open_source(some.source))) == 2
    (every,) = units(tmp_path, tmp_path / "a" / "*" / "*")
    assert len(list(open_source(every.source))) == 3
    assert outputs_name(some) == f"1-{some.digest[:12]}"


OUTPUTS = "a-0123456789ab"  # a folder of a unit


def test_the_outputs_of_an_earlier_run_are_no_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    touched(Path("a.mp4"), Path("drives/b.mp4"), Path("out", OUTPUTS, "overlay.mp4"), Path("out/kept/c.mp4"))
    make_images(Path("out", OUTPUTS, "masks"), 1)
    assert names(tmp_path, "*") == names(tmp_path, "**") == names(tmp_path, ".") == ["a.mp4", "drives/b.mp4"]
    assert names(tmp_path, "out") == names(tmp_path, "out/*") == ["out/kept/c.mp4"]


@pytest.mark.parametrize("source", ["drives", "drives/*.mp4", ".", "*", "**/*.mp4"])
def test_sources_may_lie_in_the_folder_of_the_outputs(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    touched(Path("drives/b.mp4"), Path(OUTPUTS, "overlay.mp4"))
    (unit,) = units_from_sources([source], "job", Path())
    assert unit.source == str(tmp_path / "drives" / "b.mp4")


def test_a_folder_that_a_glob_matches_with_its_files_is_one_unit(tmp_path: Path) -> None:
    touched(tmp_path / "drives" / "a" / "1.mp4")
    make_images(tmp_path / "drives" / "a" / "b", 2)
    for pattern in ("drives/**", "drives/**/*", "drives/*"):
        assert names(tmp_path, tmp_path / pattern) == ["drives/a/1.mp4", "drives/a/b"]


def test_a_list_stands_for_its_lines(tmp_path: Path) -> None:
    touched(tmp_path / "a.mp4", tmp_path / "b.mp4")
    listed = tmp_path / "list.txt"
    listed.write_text(f"# drives\n\n{tmp_path / 'a.mp4'}\n  {tmp_path / 'b.mp4'}  \n{tmp_path / 'missing.mp4'}\n")
    assert names(tmp_path, f"@{listed}", tmp_path / "a.mp4") == ["a.mp4", "b.mp4", "missing.mp4"]


def test_the_digest_changes_with_the_source_and_the_job_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    touched(path)
    (first,) = units(tmp_path, path)
    touched(tmp_path / "b.mp4")
    assert first.digest in {unit.digest for unit in units(tmp_path, tmp_path)}
    assert units(tmp_path, path, job="other")[0].digest != first.digest
    path.write_bytes(b"another video")
    assert units(tmp_path, path)[0].digest != first.digest


def parts(tmp_path: Path, *sources: str | Path, job: str) -> list[set[str]]:
    """The sources of each of three shards, relative to `tmp_path`."""
    listed = units(tmp_path, *sources, job=job)
    shards = [Shard(index, 3) for index in (1, 2, 3)]
    todo = [todo_of(listed, tmp_path / "out", each)[0] for each in shards]
    return [{os.path.relpath(unit.source, tmp_path) for unit in part} for part in todo]


@pytest.mark.parametrize("source", ["drives", "drives/*.mp4", "drives/**/*.mp4", "*"])
def test_shards_that_convert_for_themselves_and_see_other_paths_and_times_agree(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = []
    for number, mount in enumerate((tmp_path / "a", tmp_path / "mnt" / "b")):
        touched(*(mount / "drives" / f"{name}.mp4" for name in range(12)))
        if "." not in source:
            for name in range(12):
                make_images(mount / "drives" / f"images{name}", 1)
        for path in mount.rglob("*"):
            os.utime(path, (number, number))
        cut.append(parts(mount, mount / source, job=f"engine {number}"))
    assert cut[0] == cut[1]
    assert all(cut[0])
    assert sum(map(len, cut[0])) == len(set.union(*cut[0])) == (12 if "." in source else 24)
    names = [f"drives/{name}.mp4" for name in range(12)]
    monkeypatch.chdir(tmp_path / "a")
    here = parts(Path(), *names, job="engine 0")
    monkeypatch.chdir(tmp_path / "mnt" / "b")
    assert parts(Path(), *names, job="engine 1") == here


def test_a_synthetic_recording_is_a_unit_and_a_camera_is_not(tmp_path: Path) -> None:
    (unit,) = units(tmp_path, "test://street?frames=3")
    assert unit.source == "test://street?frames=3"
    assert outputs_name(unit).startswith("street-")
    for live in ("camera:0", "rtsp://user:secret@camera/stream", "test://street?live=1"):
        with pytest.raises(FormatError) as problem:
            units(tmp_path, live)
        assert problem.value.code == "ES-FORMAT-LIVE"
        assert "secret" not in str(problem.value)


def test_sources_without_a_unit_are_errors_with_a_code(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9.mp4\n")
    for source, kind, code in (
        (tmp_path / "nothing", DataError, "ES-DATA-EMPTY"),
        (tmp_path / "*.mp4", FileProblem, "ES-FILE-MISSING"),
        (f"@{tmp_path / 'none.txt'}", FileProblem, "ES-FILE-MISSING"),
        (f"@{tmp_path / 'latin.txt'}", FormatError, "ES-FORMAT"),
        ("nowhere://bucket/a.mp4", UnavailableError, "ES-MISSING-REMOTE"),
    ):
        with pytest.raises(kind) as problem:
            units(tmp_path, source)
        assert problem.value.code == code


def test_urls_are_listed_by_fsspec(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for name in ("a.mp4", "b/c.mp4", "b/1.png", "b/2.png", "b/notes.txt"):
        memory.pipe(f"/batch/{name}", name.encode())
    try:
        listed = [unit.source for unit in units(tmp_path, "memory://batch/")]
        assert listed == ["memory:///batch/a.mp4", "memory:///batch/b/*", "memory:///batch/b/c.mp4"]
        assert [unit.source for unit in units(tmp_path, "memory://batch/*.mp4")] == ["memory:///batch/a.mp4"]
        (before,) = units(tmp_path, "memory://batch/a.mp4")
        memory.pipe("/batch/a.mp4", b"another, longer one")
        assert units(tmp_path, "memory://batch/a.mp4")[0].digest != before.digest
        with pytest.raises(FileProblem) as problem:
            units(tmp_path, "memory://batch/none.mp4")
        assert problem.value.code == "ES-FILE-MISSING"
    finally:
        memory.rm("/batch", recursive=True)
