"""Processes of this machine do every unit once, also where one of them dies."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from simulated_batch import simulated_units

from edgeseg.batch import local
from edgeseg.batch.local import LocalRunner
from edgeseg.batch.rows import empty_row
from edgeseg.batch.units import Unit
from edgeseg.errors import UnavailableError

SIMULATED = "simulated_batch:Simulated"


def attempts(folder: Path) -> Counter[str]:
    return Counter(path.stem for path in folder.iterdir())


def test_every_unit_is_done_once_and_that_of_a_dead_process_again(tmp_path: Path) -> None:
    units = simulated_units(12)
    killed = units[3].source
    runner = LocalRunner({"folder": str(tmp_path), "kill": [killed]}, work=SIMULATED, processes=2)
    rows = list(runner.rows(units))
    assert sorted(row["digest"] for row in rows) == [unit.digest for unit in units]
    twice = [digest for digest, count in attempts(tmp_path).items() if count > 1]
    assert twice == [units[3].digest]
    workers = {path.read_text().split()[0] for path in tmp_path.glob(f"{twice[0]}.*")}
    assert len(workers) == 2


def test_a_process_that_lost_its_device_does_no_further_unit() -> None:
    units = simulated_units(6)
    runner = LocalRunner({"lose": [units[1].source, units[3].source]}, work=SIMULATED, processes=1)
    rows = list(runner.rows(units))
    assert sorted(row["digest"] for row in rows) == [unit.digest for unit in units]
    workers = [row["worker"] for row in rows]
    assert workers == [workers[0]] * 2 + [workers[2]] * 2 + [workers[4]] * 2
    assert len(set(workers)) == 3


def test_processes_are_not_more_than_units() -> None:
    rows = list(LocalRunner({}, work=SIMULATED, processes=4).rows(simulated_units(1)))
    assert len(rows) == 1


def test_a_process_that_cannot_begin_is_an_error() -> None:
    with pytest.raises(UnavailableError) as problem:
        list(LocalRunner({"fails": True}, work=SIMULATED, processes=1).rows(simulated_units(2)))
    assert problem.value.code == "ES-SYSTEM"


class FakeWorker:
    """In place of `Worker`: it begins with the next of `outcomes`, and does its units at once."""

    def __init__(self, request: Any, messages: Any) -> None:
        self.unit: Any = None
        self.frames, self.is_ready = 0, False
        self.messages = messages
        messages.put((self, request["options"]["outcomes"].pop(0)))

    def begin(self, unit: Unit) -> None:
        self.unit = unit
        self.messages.put((self, {"row": {**empty_row(unit, "job"), "marked": True}}))

    def stop(self) -> None:
        pass

    def close(self, seconds: float = 0.0) -> None:
        pass


READY = {"ready": 1.0}
FAILED = {"failed": {"code": "ES-MISSING-MEMORY", "message": "the GPU is full", "hint": "close other programs"}}


@pytest.mark.parametrize("outcomes", [[READY, FAILED, FAILED], [FAILED, READY, READY], [FAILED, FAILED, READY]])
def test_a_process_that_cannot_begin_ends_nothing_where_another_can(
    outcomes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "Worker", FakeWorker)
    able = outcomes.count(READY)
    runner = LocalRunner({"outcomes": outcomes}, processes=3)
    units = simulated_units(5)
    assert sorted(row["digest"] for row in runner.rows(units)) == [unit.digest for unit in units]
    assert runner.count.working == able


def test_processes_of_which_none_can_begin_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "Worker", FakeWorker)
    with pytest.raises(UnavailableError) as problem:
        list(LocalRunner({"outcomes": [FAILED] * 3}, processes=3).rows(simulated_units(5)))
    assert problem.value.code == "ES-MISSING-MEMORY"


def test_processes_that_go_on_after_a_stop_are_waited_for_together(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    class GoesOn(FakeWorker):
        def close(self, seconds: float = 0.0) -> None:
            nonlocal now
            now += seconds

    monkeypatch.setattr(local, "Worker", GoesOn)
    monkeypatch.setattr(local, "time", SimpleNamespace(monotonic=lambda: now))
    stop = threading.Event()
    for _ in LocalRunner({"outcomes": [READY] * 3}, processes=3, stop=stop).rows(simulated_units(9)):
        stop.set()
    assert now == pytest.approx(local.STOP_SECONDS)


def test_processes_that_die_at_once_are_an_error() -> None:
    with pytest.raises(UnavailableError) as problem:
        list(LocalRunner({}, work="simulated_batch:Dies", processes=1).rows(simulated_units(2)))
    assert problem.value.code == "ES-BATCH-DIED"


def test_a_stop_ends_units_in_progress_and_the_processes(tmp_path: Path) -> None:
    stop = threading.Event()
    units = simulated_units(6)
    frames: list[int] = []

    def on_frames(task: str, done: int, total: int | None) -> None:
        frames.append(done)
        if (tmp_path / f"{units[2].digest}.0").exists():
            stop.set()

    options = {"folder": str(tmp_path), "hang": [units[2].source]}
    runner = LocalRunner(options, work=SIMULATED, processes=1, stop=stop, on_frames=on_frames)
    rows: list[dict[str, Any]] = []
    for row in runner.rows(units):
        rows.append(row)
        if len(rows) == 2:
            stop.set()
    assert [row["digest"] for row in rows][:2] == [unit.digest for unit in units[:2]]
    assert len(rows) <= 3
    assert frames
