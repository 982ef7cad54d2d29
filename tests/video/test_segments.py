"""Recordings in segments: where they are cut, what they are called, and which of them are deleted."""

from __future__ import annotations

import os
import time
from fractions import Fraction
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_clips import quarters
from small_streams import result_of, write_frames

from edgeseg.errors import FileProblem, FormatError, UnknownNameError
from edgeseg.video.frame import Frame
from edgeseg.video.retention import Recording, Retention, SegmentPattern
from edgeseg.video.sink import open_sink
from edgeseg.video.sink_segments import SegmentsSink
from edgeseg.video.source import open_source

NOON = time.mktime((2026, 11, 1, 12, 0, 0, 0, 0, 0))
DAY = 86_400.0


class Clock:
    def __init__(self) -> None:
        self.seconds = NOON

    def __call__(self) -> float:
        return self.seconds


def segments_sink(folder: Path, clock: Clock, seconds: float = 1.0, retention: Retention = Retention()) -> SegmentsSink:  # noqa: B008
    pattern = SegmentPattern(f"{folder}/%Y%m%d-%H%M%S.mp4")
    return SegmentsSink(pattern, "mpeg4", Fraction(25), seconds, retention, now=clock)


def write(sink: SegmentsSink, clock: Clock, times: list[float]) -> None:
    for index, seconds in enumerate(times):
        clock.seconds = NOON + seconds
        sink.write(result_of(Frame.from_rgb(index, seconds, quarters())))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_segment_ends_after_its_length_and_the_next_begins_at_zero_with_a_key_frame(tmp_path: Path) -> None:
    clock = Clock()
    with segments_sink(tmp_path, clock, seconds=2) as sink:
        write(sink, clock, [10 + index / 25 for index in range(125)])
    assert names(tmp_path) == ["20261101-120010.mp4", "20261101-120012.mp4", "20261101-120014.mp4"]
    for path, count in zip(sorted(tmp_path.iterdir()), (50, 50, 25)):
        with av.open(str(path)) as container:
            images = list(container.decode(video=0))
        assert [float(image.time) for image in images] == pytest.approx(
            [index / 25 for index in range(count)], abs=1e-3
        )
        assert images[0].key_frame
    assert sink.files() == (tmp_path,)


def test_a_gap_or_a_step_back_begins_a_segment(tmp_path: Path) -> None:
    clock = Clock()
    with segments_sink(tmp_path, clock, seconds=60) as sink:
        write(sink, clock, [100.0, 100.04, 500.0, 500.04, 7.0, 7.04])
    assert names(tmp_path) == ["20261101-120007.mp4", "20261101-120140.mp4", "20261101-120820.mp4"]
    assert [len(list(open_source(path))) for path in sorted(tmp_path.iterdir())] == [2, 2, 2]


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "20261101-120000.mp4").write_text("yesterday's")
    clock = Clock()
    with segments_sink(tmp_path, clock, seconds=0.05) as sink:
        for index in range(4):
            sink.write(result_of(Frame.from_rgb(index, index / 25, quarters())))
    assert names(tmp_path) == ["20261101-120000-2.mp4", "20261101-120000-3.mp4", "20261101-120000.mp4"]
    assert (tmp_path / "20261101-120000.mp4").read_text() == "yesterday's"


def old_file(path: Path, age_seconds: float, size: int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (NOON - age_seconds, NOON - age_seconds))
    return path


def test_only_old_files_that_the_pattern_matches_are_deleted(tmp_path: Path) -> None:
    deleted = [old_file(tmp_path / name, 8 * DAY) for name in ("20261024-120000.mp4", "20261024-120000-2.mp4")]
    others = ["holiday.mp4", "20261024-120000.mkv", "20261024.mp4", "x20261024-120000.mp4", "20261024-120000.mp4.bak"]
    kept = [old_file(tmp_path / name, 8 * DAY) for name in [*others, "deep/20261024-120000.mp4"]]
    kept.append(old_file(tmp_path / "20261026-120000.mp4", 6 * DAY))
    (tmp_path / "20261023-120000.mp4").symlink_to(tmp_path / "holiday.mp4")
    clock = Clock()
    with segments_sink(tmp_path, clock, retention=Retention(7 * DAY)) as sink:
        write(sink, clock, [0.0])
    assert [path.exists() for path in deleted] == [False, False]
    assert [path for path in kept if not path.exists()] == []
    assert (tmp_path / "20261023-120000.mp4").is_symlink()


def test_the_total_size_counts_the_segment_to_come_and_the_oldest_go_first(tmp_path: Path) -> None:
    for days in range(1, 6):
        old_file(tmp_path / f"2026102{days}-000000.mp4", (10 - days) * DAY, 1000)
    clock = Clock()
    with segments_sink(tmp_path, clock, retention=Retention(bytes=4000)) as sink:
        write(sink, clock, [0.0])
    assert names(tmp_path)[:-1] == ["20261023-000000.mp4", "20261024-000000.mp4", "20261025-000000.mp4"]


def test_the_segment_being_written_is_never_deleted(tmp_path: Path) -> None:
    clock = Clock()
    with segments_sink(tmp_path, clock, seconds=0.2, retention=Retention(1e-6, 1)) as sink:
        for index in range(20):
            clock.seconds = NOON + index + 1e6  # far behind the files' own times
            sink.write(result_of(Frame.from_rgb(index, index / 25, quarters())))
            assert len(names(tmp_path)) == 1
    assert len(list(open_source(next(tmp_path.iterdir())))) == 5


def test_folders_by_day_are_made_and_removed(tmp_path: Path) -> None:
    old_file(tmp_path / "2026-10-20" / "120000.mp4", 12 * DAY)
    old_file(tmp_path / "2026-10-21" / "120000.mp4", 11 * DAY)
    (tmp_path / "2026-10-21" / "notes.txt").write_text("mine")
    pattern = SegmentPattern(f"{tmp_path}/%Y-%m-%d/%H%M%S.mp4")
    with SegmentsSink(pattern, "mpeg4", Fraction(25), retention=Retention(7 * DAY), now=Clock()) as sink:
        sink.write(result_of(Frame.from_rgb(0, 0.0, quarters())))
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")) == [
        "2026-10-21/notes.txt",
        "2026-11-01/120000.mp4",
    ]
    assert not (tmp_path / "2026-10-20").exists()


@given(
    st.lists(st.tuples(st.floats(0, 100), st.integers(0, 50)), max_size=8),
    st.none() | st.floats(1, 100),
    st.none() | st.integers(1, 200),
)
def test_what_is_kept_is_young_and_fits(
    files: list[tuple[float, int]], seconds: float | None, size: int | None
) -> None:
    recordings = [Recording(at, count, Path(f"{n}.mp4")) for n, (at, count) in enumerate(sorted(files))]
    deleted = Retention(seconds, size).expired(recordings, 100.0)
    kept = [r for r in recordings if r.path not in deleted]
    assert all(seconds is None or r.ended_at >= 100.0 - seconds for r in kept)
    assert kept == recordings[len(recordings) - len(kept) :]  # the newest
    if size is not None and kept:
        assert sum(r.bytes for r in kept) + kept[-1].bytes <= size


@given(
    st.integers(0, 2**32), st.sampled_from(["%Y%m%d-%H%M%S.mp4", "%Y/%m/%d/cam 1 %H%M%S (100%%).mp4", "a+%j.%S.mkv"])
)
def test_a_pattern_matches_the_names_that_it_makes(seconds: int, text: str) -> None:
    pattern = SegmentPattern(text)
    path = pattern.unused_path(seconds)
    assert pattern._name.fullmatch(path.relative_to(pattern.root).as_posix())


@pytest.mark.parametrize(
    "uri",
    [
        "clip.mp4?segment=60",
        "%Q.mp4?segment=60",
        "%H%.mp4?segment=60",
        "%S.mp4?segment=0",
        "%S.mp4?segment=1x",
        "%S.mp4?segment=1h&keep=soon",
        "%S.mp4?segment=1h&max_size=7d",
    ],
)
def test_a_wrong_segment_says_what_to_write(uri: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError) as caught:
        open_sink(f"{tmp_path}/{uri}")
    assert caught.value.code == "ES-FORMAT-OPTION"
    assert caught.value.hint.startswith("write ")


def test_the_kind_may_be_written_out(tmp_path: Path) -> None:
    with open_sink(f"segments:{tmp_path}/%H%M%S.mkv") as sink:
        assert write_frames(sink, [Frame.from_rgb(0, 0.0, quarters())]) == 1
    assert len(names(tmp_path)) == 1
    with pytest.raises(UnknownNameError):
        open_sink(f"segments:{tmp_path}/%H%M%S")


def test_an_input_is_not_deleted_as_an_old_recording(tmp_path: Path) -> None:
    path = old_file(tmp_path / "20261024-120000.mp4", 8 * DAY)
    with pytest.raises(FileProblem) as caught:
        open_sink(f"{tmp_path}/%Y%m%d-%H%M%S.mp4?segment=60&keep=7d", inputs=[path])
    assert caught.value.code == "ES-FILE-SAME"
    open_sink(f"{tmp_path}/%Y%m%d-%H%M%S.mp4?segment=60", inputs=[path])
