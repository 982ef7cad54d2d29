from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from edgeseg.measure import load as module
from edgeseg.measure.diagnostic import diagnostics_from_run
from edgeseg.measure.load import Load, LoadMeter


def clocks(own: Iterator[float], wall: Iterator[float]) -> SimpleNamespace:
    """In place of the module `time`, whose clocks other threads of this process may ask."""
    return SimpleNamespace(process_time=lambda: next(own), perf_counter=lambda: next(wall))


def test_sleeping_costs_no_cpu_and_computing_does() -> None:
    meter = LoadMeter()
    time.sleep(0.2)
    asleep = meter.load()
    meter = LoadMeter()
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    awake = meter.load()
    assert asleep.wall_seconds >= 0.2
    assert asleep.cpu_seconds < 0.25 * asleep.wall_seconds
    assert awake.cpu_seconds >= 0.2


def test_foreign_load_is_what_others_used(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = iter([100.0, 103.0])
    monkeypatch.setattr(module, "busy_seconds", lambda: next(busy))
    monkeypatch.setattr(module, "time", clocks(iter([10.0, 11.0]), iter([0.0, 4.0])))
    monkeypatch.setattr(module, "stolen_seconds", lambda: 0.0)
    load = LoadMeter().load()
    assert load == Load(wall_seconds=4.0, cpu_seconds=1.0, foreign_cores=0.5)


@pytest.mark.parametrize(("children", "foreign"), [(False, 0.5), (True, 0.25)])
def test_children_that_end_are_foreign_unless_they_are_counted(
    children: bool, foreign: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, ended = iter([100.0, 103.0]), iter([7.0, 8.0])
    monkeypatch.setattr(module, "busy_seconds", lambda: next(busy))
    monkeypatch.setattr(module, "children_seconds", lambda: next(ended))
    monkeypatch.setattr(module, "time", clocks(iter([10.0, 11.0]), iter([0.0, 4.0])))
    monkeypatch.setattr(module, "stolen_seconds", lambda: 0.0)
    assert LoadMeter(children=children).load().foreign_cores == foreign


def test_other_threads_count_as_own() -> None:
    def spin() -> None:
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            pass

    meter, threads = LoadMeter(), [threading.Thread(target=spin) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert meter.load().cpu_seconds >= 0.15


def test_time_that_the_hypervisor_took_is_part_of_foreign_load(monkeypatch: pytest.MonkeyPatch) -> None:
    busy, stolen = iter([100.0, 103.0]), iter([5.0, 6.0])
    monkeypatch.setattr(module, "busy_seconds", lambda: next(busy))
    monkeypatch.setattr(module, "stolen_seconds", lambda: next(stolen))
    monkeypatch.setattr(module, "time", clocks(iter([10.0, 11.0]), iter([0.0, 4.0])))
    assert LoadMeter().load() == Load(wall_seconds=4.0, cpu_seconds=1.0, foreign_cores=0.5, stolen_cores=0.25)


def test_rounding_never_makes_foreign_load_negative(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's counters tick in hundredths of a second, the process's own clock does not."""
    busy = iter([100.0, 100.0])
    monkeypatch.setattr(module, "busy_seconds", lambda: next(busy))
    monkeypatch.setattr(module, "time", clocks(iter([10.0, 10.004]), iter([0.0, 4.0])))
    assert LoadMeter().load().foreign_cores == 0.0


def test_foreign_load_and_few_samples_are_diagnosed() -> None:
    assert diagnostics_from_run(Load(1.0, 1.0, 0.0), 200) == []
    diagnostics = diagnostics_from_run(Load(1.0, 1.0, 1.5), 30)
    assert [each.code for each in diagnostics] == ["foreign-load", "few-samples"]
    assert "1.5 cores" in diagnostics[0].message
    assert "30 samples" in diagnostics[1].message
