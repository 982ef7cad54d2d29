"""Interleaved timing: candidates in turn, in the order ABBA, so that load and drift affect each of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

Clock = Callable[[], float]
SECONDS = 0.3  # of one candidate's turn
MIN_CALLS = 3  # per turn


@dataclass(frozen=True)
class Turn:
    """Calls of one candidate without interruption. latencies: of each in wall ms. cpu_ms: own CPU time per call."""

    latencies: tuple[float, ...]
    cpu_ms: float


def one_turn(
    work: Callable[[], object],
    seconds: float | None = None,
    *,
    clock: Clock = time.perf_counter,
    cpu_clock: Clock = time.process_time,
) -> Turn:
    """Call `work` for `seconds`, SECONDS unless given, after one call without measurement.

    During that call caches and threads are still those of the previous candidate.
    clock, cpu_clock: wall time, and CPU time of all threads of this process, in seconds.
    """
    work()
    latencies: list[float] = []
    cpu, end = cpu_clock(), clock() + (SECONDS if seconds is None else seconds)
    while len(latencies) < MIN_CALLS or clock() < end:
        start = clock()
        work()
        latencies.append((clock() - start) * 1e3)
    return Turn(tuple(latencies), (cpu_clock() - cpu) * 1e3 / len(latencies))


def rounds(turns: Mapping[str, Callable[[], Turn]]) -> Iterator[dict[str, Turn]]:
    """Yield one turn of each candidate, again and again: A B, B A, A B, ...

    Over two rounds each candidate is at the same time on average, so that a linear drift cancels.
    """
    order = list(turns)
    while True:
        yield {name: turns[name]() for name in order}
        order.reverse()
