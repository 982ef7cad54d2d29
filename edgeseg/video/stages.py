"""What frames pass through on their way: passive generators, of which `prefetch` alone makes a thread.

    pipe(source, prefetch, overlapped(begin, finish, slots=2), prefetch)

decodes in one thread, infers in a second one, and leaves the caller's for writing.
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
POLL_SECONDS = 0.1  # how soon a stop is noticed while a source is silent
LEAVE_SECONDS = 3.0  # after a stop, how long a source may take over the item that it is making
Stage: TypeAlias = Callable[[Iterator[A]], Iterator[B]]


@dataclass(frozen=True)
class _End:
    """The last thing in a queue; `error` where the producer failed."""

    error: BaseException | None


def pipe(source: Iterable[Any], *stages: Callable[[Iterator[Any]], Iterator[Any]]) -> Generator[Any, None, None]:
    """`source` through each of the `stages`. Closing it early closes every stage, the last one first."""
    line: list[Iterator[Any]] = [iter(source)]
    for stage in stages:
        line.append(stage(line[-1]))
    return _passed_on(line)


class Ahead(Iterator[A]):
    """Items that a thread makes ahead, from the first `next` to `close`."""

    def __init__(
        self, items: Iterator[A], depth: int, newest: bool, stop: threading.Event | None, patience: float
    ) -> None:
        self._ready: queue.Queue[A | _End] = queue.Queue(depth)
        self._items = _prefetched(items, self._ready, newest, stop, patience)

    def __next__(self) -> A:
        return next(self._items)

    def is_ready(self) -> bool:
        """Whether the next item, or the end, is there: `next` would not wait."""
        return not self._ready.empty()

    def close(self) -> None:
        """Wait for the item that is being made; then the thread has ended and the items are closed."""
        _close(self._items)


def prefetch(
    items: Iterator[A],
    depth: int = 2,
    *,
    newest: bool = False,
    stop: threading.Event | None = None,
    patience: float = LEAVE_SECONDS,
) -> Ahead[A]:
    """`items`, made ahead by a thread: at most `depth` wait, and one more is being made.

    An error of `items` is raised here, behind the items that came before it. Leaving early waits for the item that is
    being made; then the thread has ended and `items` is closed. stop: when it is set the items end, and a thread that
    hangs in its item is left behind after `patience` seconds. newest: an item that nobody took in time gives its place
    to the next one, so that what is taken is never old; else the thread waits.
    """
    if depth < 1:
        raise ValueError(f"prefetch needs a depth of at least 1, not {depth}")
    return Ahead(items, depth, newest, stop, patience)


def overlapped(
    begin: Callable[[A], object], finish: Callable[[A], B], slots: int
) -> Callable[[Iterator[A]], Generator[B, None, None]]:
    """The stage that begins with items while up to `slots` are under way, and finishes them in their order.

    Where an item is not there yet, nothing waits for it: those under way are finished. An error of the items or of
    `begin` is raised behind what was begun before it.
    """

    def stage(items: Iterator[A]) -> Generator[B, None, None]:
        under_way, end = deque[A](), None
        try:
            while end is None or under_way:
                if end is None and (not under_way or (len(under_way) < slots and _is_ready(items))):
                    end = _begun(items, begin, under_way)
                else:
                    yield finish(under_way.popleft())
            if end.error is not None:
                raise end.error
        finally:
            _close(items)

    return stage


def limit(count: int) -> Callable[[Iterator[A]], Generator[A, None, None]]:
    """The stage that passes on the first `count` items, and asks for no more than these."""

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


def _passed_on(line: list[Iterator[Any]]) -> Generator[Any, None, None]:
    with contextlib.ExitStack() as stages:
        for items in line:
            stages.callback(_close, items)
        yield from line[-1]


def _begun(items: Iterator[A], begin: Callable[[A], object], under_way: deque[A]) -> _End | None:
    """Begin with the next item; the end where there is none or something failed."""
    try:
        item = next(items)
        begin(item)
    except StopIteration:
        return _End(None)
    except BaseException as problem:
        return _End(problem)
    under_way.append(item)
    return None


def _is_ready(items: Iterator[Any]) -> bool:
    """Whether the next item is there; True for iterators that do not say, which make it when they are asked."""
    is_ready = getattr(items, "is_ready", None)
    return is_ready is None or bool(is_ready())


def _prefetched(
    items: Iterator[A], ready: queue.Queue[A | _End], newest: bool, stop: threading.Event | None, patience: float
) -> Generator[A, None, None]:
    leaving = threading.Event()
    # A daemon: a source that hangs for ever must not keep the process from ending.
    thread = threading.Thread(
        target=_produce, args=(items, ready, newest, leaving), name="edgeseg-prefetch", daemon=True
    )
    thread.start()
    item: A | _End | None = None
    try:
        while not isinstance(item := _taken(ready, stop), _End):
            if item is None:
                return
            yield item
        if item.error is not None:
            raise item.error
    finally:
        leaving.set()
        most = patience if stop is not None and stop.is_set() else None
        with contextlib.suppress(queue.Empty):  # a source that hangs: its thread is a daemon
            while not isinstance(item, _End):  # makes room for a producer that waits to put one
                item = ready.get(timeout=most)
            thread.join()


def _taken(ready: queue.Queue[A | _End], stop: threading.Event | None) -> A | _End | None:
    """The next item; None once `stop` is set."""
    while stop is not None:
        if stop.is_set():
            return None
        with contextlib.suppress(queue.Empty):
            return ready.get(timeout=POLL_SECONDS)
    return ready.get()


def _produce(items: Iterator[A], ready: queue.Queue[A | _End], newest: bool, leaving: threading.Event) -> None:
    error: BaseException | None = None
    try:
        try:
            for item in items:
                if newest and ready.full():
                    with contextlib.suppress(queue.Empty):  # it was taken in this very moment
                        ready.get_nowait()
                ready.put(item)
                if leaving.is_set():
                    break
        finally:
            _close(items)  # in this thread: a generator can only be closed where it is not running
    except BaseException as problem:
        error = problem
    finally:
        ready.put(_End(error))


def _close(items: Iterator[A]) -> None:
    """Close a generator; other iterators have nothing to close. One that a left thread still runs closes there."""
    close = getattr(items, "close", None)
    if close is not None and not getattr(items, "gi_running", False):
        close()
