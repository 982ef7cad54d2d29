"""The stages of a stream: passive generators; only `prefetch` starts a thread.

    pipe(source, prefetch, overlapped(begin, finish, slots=2), prefetch)

decodes in one thread, infers in a second one and writes in the caller's.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

A = TypeVar("A")
B = TypeVar("B")
POLL_SECONDS = 0.1  # the delay of a stop while a source is silent
LEAVE_SECONDS = 3.0  # after a stop, how long a source may take to finish its item
Stage: TypeAlias = Callable[[Iterator[A]], Iterator[B]]


@dataclass(frozen=True)
class _End:
    """The end of a queue. error: of the producer."""

    error: BaseException | None


def pipe(source: Iterable[Any], *stages: Callable[[Iterator[Any]], Iterator[Any]]) -> Generator[Any, None, None]:
    """Chain `stages` after `source`. Closing the result closes every stage, the last one first."""
    iterators: list[Iterator[Any]] = [iter(source)]
    for stage in stages:
        iterators.append(stage(iterators[-1]))
    return _chained(iterators)


class Ahead(Iterator[A]):
    """Items that a thread produces ahead, from the first `next` to `close`."""

    def __init__(self, items: Iterator[A], depth: int, stop: threading.Event | None, patience: float) -> None:
        self._ready: queue.Queue[A | _End] = queue.Queue(depth)
        self._items = _prefetched(items, self._ready, stop, patience)

    def __next__(self) -> A:
        return next(self._items)

    def is_ready(self) -> bool:
        """Whether `next` would return without waiting."""
        return not self._ready.empty()

    def close(self) -> None:
        """Wait for the current item; then the thread has ended and the items are closed."""
        _close(self._items)


def prefetch(
    items: Iterator[A],
    depth: int = 2,
    *,
    stop: threading.Event | None = None,
    patience: float = LEAVE_SECONDS,
) -> Ahead[A]:
    """`items`, produced ahead by a thread: at most `depth` items wait, while the thread produces the next one.

    An error of `items` is raised here, after the items before it. Closing early waits for the current item; then the
    thread has ended and `items` is closed. stop: ends the items when it is set; a thread that hangs in an item is
    abandoned after `patience` seconds.
    """
    if depth < 1:
        raise ValueError(f"prefetch needs a depth of at least 1, not {depth}")
    return Ahead(items, depth, stop, patience)


def overlapped(
    begin: Callable[[A], object], finish: Callable[[A], B], slots: int
) -> Callable[[Iterator[A]], Generator[B, None, None]]:
    """The stage that calls `begin` for up to `slots` items ahead, and `finish` in their order.

    It never waits for an item while others are in flight: it finishes those. An error of the items or of `begin` is
    raised after the items before it are finished.
    """

    def stage(items: Iterator[A]) -> Generator[B, None, None]:
        in_flight, end = deque[A](), None
        try:
            while end is None or in_flight:
                if end is None and (not in_flight or (len(in_flight) < slots and _is_ready(items))):
                    end = _begun(items, begin, in_flight)
                else:
                    yield finish(in_flight.popleft())
            if end.error is not None:
                raise end.error
        finally:
            _close(items)

    return stage


def limit(count: int) -> Callable[[Iterator[A]], Generator[A, None, None]]:
    """The stage that passes the first `count` items and requests no more."""

    def stage(items: Iterator[A]) -> Generator[A, None, None]:
        try:
            for _ in range(count):
                try:
                    yield next(items)
                except StopIteration:
                    return
        finally:
            _close(items)

    return stage


def _chained(iterators: list[Iterator[Any]]) -> Generator[Any, None, None]:
    with contextlib.ExitStack() as stages:
        for items in iterators:
            stages.callback(_close, items)
        yield from iterators[-1]


def _begun(items: Iterator[A], begin: Callable[[A], object], in_flight: deque[A]) -> _End | None:
    """Begin the next item; `_End` where there is none or an error occurs."""
    try:
        item = next(items)
        begin(item)
    except StopIteration:
        return _End(None)
    except BaseException as problem:
        return _End(problem)
    in_flight.append(item)
    return None


def _is_ready(items: Iterator[Any]) -> bool:
    """Whether the next item is available; True for iterators that make it on request."""
    is_ready = getattr(items, "is_ready", None)
    return is_ready is None or bool(is_ready())


def _prefetched(
    items: Iterator[A], ready: queue.Queue[A | _End], stop: threading.Event | None, patience: float
) -> Generator[A, None, None]:
    leaving = threading.Event()
    # A daemon, so that a source that hangs does not keep the process alive.
    thread = threading.Thread(target=_produce, args=(items, ready, leaving), name="edgeseg-prefetch", daemon=True)
    thread.start()
    item: A | _End | None = None
    try:
        while not isinstance(item := _next_ready(ready, stop), _End):
            if item is None:
                return
            yield item
        if item.error is not None:
            raise item.error
    finally:
        leaving.set()
        timeout = patience if stop is not None and stop.is_set() else None
        with contextlib.suppress(queue.Empty):  # a source that hangs: its thread is a daemon
            while not isinstance(item, _End):  # makes room for a producer that waits
                item = ready.get(timeout=timeout)
            thread.join()


def _next_ready(ready: queue.Queue[A | _End], stop: threading.Event | None) -> A | _End | None:
    """The next item; None once `stop` is set."""
    while stop is not None:
        if stop.is_set():
            return None
        with contextlib.suppress(queue.Empty):
            return ready.get(timeout=POLL_SECONDS)
    return ready.get()


def _produce(items: Iterator[A], ready: queue.Queue[A | _End], leaving: threading.Event) -> None:
    error: BaseException | None = None
    try:
        try:
            for item in items:
                ready.put(item)
                if leaving.is_set():
                    break
        finally:
            _close(items)  # in this thread, because a running generator cannot be closed
    except BaseException as problem:
        error = problem
    finally:
        ready.put(_End(error))


def _close(items: Iterator[A]) -> None:
    """Close a generator; an abandoned thread closes its own."""
    close = getattr(items, "close", None)
    if close is not None and not getattr(items, "gi_running", False):
        close()
