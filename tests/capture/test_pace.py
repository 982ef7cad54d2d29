"""After a delay frames count once they keep pace."""

from __future__ import annotations

from edgeseg.capture.pace import PATIENCE_SECONDS, Pace


def kept(pace: Pace, frames: list[tuple[float, float]]) -> list[bool]:
    """Whether each frame is kept; frames are given as (timestamp, arrival)."""
    return [pace.is_kept(pts, arrived_at) for pts, arrived_at in frames]


def test_without_a_doubt_every_frame_is_kept() -> None:
    assert all(kept(Pace(), [(n / 10, n * n) for n in range(20)]))


def test_after_a_doubt_frames_count_once_they_kept_pace_for_a_quarter_second() -> None:
    pace = Pace(in_doubt=True)
    burst = [(n / 16, 100 + n / 1024) for n in range(100)]
    live = [(6.25 + n / 16, 100.125 + n / 16) for n in range(20)]
    # The window that began in the burst ends after 2 frames; the next one is a quarter second of them.
    assert kept(pace, burst + live) == [False] * (100 + 6) + [True] * 14
    pace.doubt()
    assert kept(pace, [(7.5 + n / 16, 101.375 + n / 16) for n in range(10)]) == [False] * 4 + [True] * 6


def test_a_link_at_a_twentieth_of_its_speed_never_keeps_pace_as_long_as_its_frames_are_too_old() -> None:
    pace = Pace(in_doubt=True)
    for n in range(100):
        assert not pace.is_kept(n / 15, n * 20 / 15)
        pace.doubt()


def test_an_irregular_network_is_trusted_again_after_a_while() -> None:
    frames = [(n / 10, 100 + n / 10 + 0.3 * (n % 3)) for n in range(100)]
    found = kept(Pace(in_doubt=True), frames)
    assert not any(found[:3])
    first = found.index(True)
    assert frames[first][1] - frames[0][1] < PATIENCE_SECONDS + 1
    assert all(found[first:])
