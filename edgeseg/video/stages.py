"""What frames pass through on their way: passive generators, of which `prefetch` alone makes a thread.

    pipe(source, prefetch, mapped(infer), prefetch)

decodes in one thread, infers in a second one, and leaves the caller's for writing.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

A = TypeVar("A")
B = TypeVar("B")
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


def prefetch(items: Iterator[A], depth: int = 2) -> Generator[A, None, None]:
    """`items`, made ahead by a thread: at most `depth` wait, and one more is being made.

    An error of `items` is raised here, behind the items that came before it. Leaving early waits for the item that is
    being made; then the thread has ended and `items` is closed.
    """
    if depth < 1:
        raise ValueError(f"prefetch needs a depth of at least 1, not {depth}")
    return _prefetched(items, depth)


def mapped(function: Callable[[A], B]) -> Callable[[Iterator[A]], Generator[B, None, None]]:
    """The stage that applies `function` to each item."""

    def stage(items: Iterator[A]) -> Generator[B, None, None]:
        try:
            for item in items:
                yield function(item)
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


def _prefetched(items: Iterator[A], depth: int) -> Generator[A, None, None]:
    ready: queue.Queue[A | _End] = queue.Queue(depth)
    leaving = threading.Event()
    # A daemon: a source that hangs for ever must not keep the process from ending.
    thread = threading.Thread(target=_produce, args=(items, ready, leaving), name="edgeseg-prefetch", daemon=True)
    thread.start()
    item: A | _End | None = None
    try:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        leaving.set()
        while not isinstance(item, _End):  # makes room for a producer that waits to put one
            item = ready.get()
        thread.join()


def _produce(items: Iterator[A], ready: queue.Queue[A | _End], leaving: threading.Event) -> None:
    error: BaseException | None = None
    try:
        try:
            for item in items:
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
    """Close a generator; other iterators have nothing to close."""
    close = getattr(items, "close", None)
    if close is not None:
        close()
