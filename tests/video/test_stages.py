"""Stages end: every test that makes threads runs against the clock, so that a hang is a failure."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.video.stages import limit, overlapped, pipe, prefetch

PATIENCE_SECONDS = 60.0  # far more than any of these takes: only a hang reaches it


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def mapped(function: Callable[[Any], object], slots: int = 2) -> Any:
    """The stage that does all its work when it finishes an item."""
    return overlapped(lambda item: None, function, slots)


def in_time(function: Callable[[], object]) -> object:
    """The result of `function`, which must come."""
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(function()), daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive(), "it hangs"
    return results[0]


class Counted:
    """An endless source that notes how far it was read and that it was closed."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.asked, self.closed, self.threads, self.fails_at = 0, 0, set[str](), fails_at

    def __iter__(self) -> Iterator[int]:
        try:
            for n in itertools.count():
                self.asked = n + 1
                self.threads.add(threading.current_thread().name)
                if n == self.fails_at:
                    raise RuntimeError("the cable was pulled")
                yield n
        finally:
            self.closed += 1


@given(items=st.lists(st.integers()), depth=st.integers(1, 4))
def test_prefetch_changes_nothing(items: list[int], depth: int) -> None:
    assert in_time(lambda: list(prefetch(iter(items), depth))) == items


def test_prefetch_works_ahead_and_no_further() -> None:
    source = Counted()
    items = prefetch(iter(source), depth=2)
    next(items)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while source.asked < 4 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert source.asked == 4  # one given, two waiting, one in hand
    in_time(items.close)
    assert source.asked == 4
    assert source.threads == {"edgeseg-prefetch"}


def test_an_error_comes_behind_the_items_before_it() -> None:
    source, got = Counted(fails_at=3), []

    def run() -> str:
        try:
            for item in prefetch(iter(source)):
                got.append(item)
        except RuntimeError as problem:
            return str(problem)
        return "no error"

    assert in_time(run) == "the cable was pulled"
    assert got == [0, 1, 2]
    assert source.closed == 1


@pytest.mark.parametrize("taken", [1, 2, 5])
def test_leaving_early_closes_everything(taken: int) -> None:
    source = Counted()

    def run() -> list[int]:
        items = pipe(source, prefetch, mapped(lambda n: n * n), prefetch)
        got = list(itertools.islice(items, taken))
        items.close()
        return got

    assert in_time(run) == [n * n for n in range(taken)]
    assert source.closed == 1


def test_an_error_in_the_middle_stops_the_source() -> None:
    source = Counted()

    def halve(n: int) -> int:
        if n % 2:
            raise ValueError(f"{n} is odd")
        return n // 2

    def run() -> str:
        try:
            list(pipe(source, prefetch, mapped(halve), prefetch))
        except ValueError as problem:
            return str(problem)
        return "no error"

    assert in_time(run) == "1 is odd"
    assert source.closed == 1


def test_an_error_of_the_consumer_stops_the_source() -> None:
    source = Counted()

    def run() -> str:
        items = pipe(source, prefetch)
        try:
            for _ in items:
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            items.close()
        return "stopped"

    assert in_time(run) == "stopped"
    assert source.closed == 1


def test_a_dropped_pipe_ends_its_thread() -> None:
    source = Counted()
    assert in_time(lambda: next(pipe(source, prefetch))) == 0  # the generator dies with the call
    assert source.closed == 1


def test_an_unstarted_pipe_makes_no_thread() -> None:
    source = Counted()
    pipe(source, prefetch, mapped(str)).close()
    assert source.asked == 0


def test_limit_asks_for_no_more_than_it_gives() -> None:
    source = Counted()
    assert list(pipe(source, limit(3))) == [0, 1, 2]
    assert (source.asked, source.closed) == (3, 1)
    assert list(pipe([1, 2], limit(5))) == [1, 2]
    assert list(pipe([1, 2], limit(0))) == []


def test_limit_behind_prefetch() -> None:
    source = Counted()
    assert in_time(lambda: list(pipe(source, prefetch, limit(2)))) == [0, 1]
    assert source.closed == 1


def test_stages_of_others_need_not_close_anything() -> None:
    source = Counted()

    def doubled(items: Iterator[int]) -> Iterator[int]:
        for item in items:
            yield 2 * item

    assert in_time(lambda: list(pipe(source, prefetch, doubled, limit(3)))) == [0, 2, 4]
    assert source.closed == 1


def test_prefetch_needs_room_for_one() -> None:
    with pytest.raises(ValueError, match="depth"):
        prefetch(iter([1]), 0)


@given(items=st.lists(st.integers()), slots=st.integers(1, 4), patient=st.booleans())
def test_overlapped_keeps_the_order_and_its_slots(items: list[int], slots: int, patient: bool) -> None:
    under_way: list[int] = []
    most = [0]

    def begin(item: int) -> None:
        under_way.append(item)
        most[0] = max(most[0], len(under_way))

    def finish(item: int) -> int:
        assert under_way.pop(0) == item
        return -item

    ahead = prefetch if patient else (lambda items: items)
    got = in_time(lambda: list(pipe(items, ahead, overlapped(begin, finish, slots))))
    assert got == [-item for item in items]
    assert not under_way
    if not patient:
        assert most[0] == min(slots, len(items))


def test_nothing_waits_for_an_item_that_is_not_there_yet() -> None:
    """A camera's frame is finished before the next one comes, though there is a slot for that too."""
    finished = threading.Event()

    def camera() -> Iterator[int]:
        yield 1
        assert finished.wait(PATIENCE_SECONDS), "the first frame waits for the second"
        yield 2

    def run() -> list[int]:
        stage = overlapped(lambda item: None, lambda item: finished.set() or item, 2)
        return list(pipe(camera(), prefetch, stage))

    assert in_time(run) == [1, 2]


@pytest.mark.parametrize("fails", ["source", "begin"])
def test_what_was_begun_is_finished_before_an_error_surfaces(fails: str) -> None:
    got: list[int] = []

    def begin(item: int) -> None:
        if fails == "begin" and item == 3:
            raise RuntimeError("the frame is torn")

    def run() -> str:
        source = Counted(fails_at=3 if fails == "source" else None)
        try:
            for item in pipe(source, prefetch, overlapped(begin, lambda item: item, 2), prefetch):
                got.append(item)
        except RuntimeError as problem:
            return str(problem)
        return "no error"

    assert in_time(run) == {"source": "the cable was pulled", "begin": "the frame is torn"}[fails]
    assert got == [0, 1, 2]
