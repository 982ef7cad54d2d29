"""The waits between attempts to connect."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from edgeseg.video.backoff import LEAST_SECONDS, MOST_SECONDS, Backoff

SHARES = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=100)


def backoff_of(shares: list[float]) -> Backoff:
    """A back-off whose random numbers are these shares of their range."""
    rest = iter(shares)
    return Backoff(uniform=lambda low, high: low + next(rest) * (high - low))


@given(SHARES)
def test_no_wait_is_longer_than_30_s_or_than_the_limit_that_was_stated(attempts: list[tuple[float, bool]]) -> None:
    backoff = backoff_of([share for share, _ in attempts])
    for _, slow in attempts:
        limit = backoff.limit_seconds
        seconds = backoff.next_seconds(slow=slow)
        assert 0 <= seconds <= MOST_SECONDS
        assert seconds >= 15.0 if slow else seconds <= limit


def test_the_limit_doubles_from_half_a_second_to_30_s_and_stays_there() -> None:
    backoff = backoff_of([1.0] * 1500)
    assert [backoff.next_seconds() for _ in range(8)] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert {backoff.next_seconds() for _ in range(1400)} == {30.0}  # no overflow after days without a camera


def test_a_reset_starts_again_at_the_short_end() -> None:
    backoff = backoff_of([1.0] * 10)
    for slow in (False, True, False):
        backoff.next_seconds(slow=slow)
    assert backoff.limit_seconds == 4.0  # a slow attempt counts as well
    backoff.reset()
    assert backoff.limit_seconds == backoff.next_seconds() == LEAST_SECONDS


def test_cameras_that_failed_together_come_back_at_different_moments() -> None:
    waits = {Backoff().next_seconds(slow=True) for _ in range(20)}
    assert len(waits) == 20
