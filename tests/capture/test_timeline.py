"""Packets whose times a container of FFmpeg refuses arrive all the same, in their order."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import pytest
from small_clips import make_clip

from edgeseg.capture.timeline import Timeline

TIME_BASE = Fraction(1, 90_000)
STEP = 3600  # of 25 frames a second


def through_nut(clip: Path, times: list[tuple[int | None, int | None]]) -> list[float]:
    """The seconds at which the packets of a clip arrive behind the reader process, were they to have these times."""
    target, timeline = io.BytesIO(), Timeline(TIME_BASE)
    with av.open(str(clip)) as source, av.open(target, "w", format="nut") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        stream.time_base = TIME_BASE
        for packet, (pts, dts) in zip(source.demux(video=0), times):
            packet.time_base, packet.pts, packet.dts, packet.stream = TIME_BASE, pts, dts, stream
            timeline.stamp(packet)
            output.mux_one(packet)
    with av.open(io.BytesIO(target.getvalue())) as received:
        packets = [packet for packet in received.demux(video=0) if packet.size]
        return [float(packet.pts * packet.time_base) for packet in packets]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "clip.mkv", 12)


@pytest.mark.parametrize(
    "pts",
    [
        pytest.param([0, 1, 2, 3, 4, 5], id="as they should be"),
        pytest.param([1, 3, 2, 6, 4, 5], id="B-frames"),
        pytest.param([-6, -5, -4, -1, -2, -3], id="negative"),
        pytest.param([100_000, 100_001, 100_002, 100_003, 100_050, 100_051], id="far from 0, with a gap"),
    ],
)
@pytest.mark.parametrize("states_dts", [True, False])
def test_distances_of_times_are_kept(clip: Path, pts: list[int], states_dts: bool) -> None:
    times = [(at * STEP, index * STEP if states_dts else None) for index, at in enumerate(pts)]
    arrived = through_nut(clip, times)
    assert [at - arrived[0] for at in arrived] == pytest.approx([(at - pts[0]) / 25 for at in pts], abs=1e-4)


def test_the_first_packet_may_have_no_time_at_all(clip: Path) -> None:
    arrived = through_nut(clip, [(None, None), (3 * STEP, None), (STEP, None), (2 * STEP, STEP)])
    assert [at - arrived[0] for at in arrived] == pytest.approx([0, 3 / 25, 1 / 25, 2 / 25], abs=1e-4)


def test_a_packet_without_a_time_follows_the_one_before(clip: Path) -> None:
    arrived = through_nut(clip, [(0, 0), (STEP, STEP), (None, None), (3 * STEP, 3 * STEP)])
    assert arrived == sorted(arrived)


def test_a_camera_that_sets_its_clock_back_goes_on(clip: Path) -> None:
    far = 3600 * 90_000
    arrived = through_nut(clip, [(far, far), (far + STEP, far + STEP), (0, 0), (STEP, STEP), (2 * STEP, 2 * STEP)])
    assert arrived == sorted(arrived)
    assert arrived[-1] - arrived[2] == pytest.approx(2 / 25, abs=1e-4)
