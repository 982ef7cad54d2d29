"""How far a build is, read off the log of a release that has no monitor."""

from __future__ import annotations

import itertools
import os
import signal
from types import SimpleNamespace

import pytest
from fake_tensorrt import LOG_OF_8_6

from edgeseg.engines.tensorrt.log import Log
from edgeseg.engines.tensorrt.monitor import STEPS, monitor_for
from edgeseg.engines.tensorrt.tuning import Tuning
from edgeseg.interrupt import interrupts_held

TRT = SimpleNamespace(ILogger=object)
Told = list[tuple[int, int | None]]


def told_by(lines: list[str]) -> Told:
    """What is shown of a build that logs `lines`."""
    told: Told = []
    tuning = Tuning(lambda task, done, total: told.append((done, total)))
    for line in lines:
        tuning.hear(line)
    return told


def recorded() -> list[str]:
    return LOG_OF_8_6.read_text(encoding="utf-8").splitlines()


def test_each_layer_that_is_timed_takes_an_equal_step_and_the_end_is_the_end() -> None:
    told = told_by(recorded())
    assert told == [(done, STEPS) for done in (161, 323, 485, 646, 808, 970, 1000)]


def test_messages_of_several_lines_and_those_of_trtexec_are_read_too() -> None:
    wanted = told_by(recorded())
    assert told_by(["\n".join(recorded())]) == wanted
    assert told_by([f"[07/31/2023-10:41:46] [V] [TRT] {line}" for line in recorded()]) == wanted


def test_a_log_without_names_and_with_all_reformats_first_is_read_as_well() -> None:
    """So did 8.4 and older ones."""
    reformat = ["=============== Computing reformatting costs",
                "--------------- Timing Runner: Optimizer Reformat(<in> -> conv0) (Reformat)"]  # fmt: skip
    lines = ["After concat removal: 2 layers", "Graph construction and optimization completed in 0.1 seconds.",
             *reformat * 3, *["=============== Computing costs for "] * 2,
             "Formats and tactics selection completed in 8.9 seconds.", "After reformat layers: 5 layers"]  # fmt: skip
    assert told_by(lines) == [(485, STEPS), (970, STEPS)]


def test_a_log_that_tells_no_count_moves_without_an_end() -> None:
    assert told_by(["something new"] * 250) == [(100, None), (200, None)]
    one_layer = ["After concat removal: 1 layers", "=============== Computing costs for {ForeignNode[a...b]}"]
    assert told_by([*one_layer, *["Tactic: 0x0 Time: 17.8"] * 198]) == [(100, None), (200, None)]


@pytest.mark.parametrize("cut", range(0, 122, 7))
def test_whatever_is_missing_it_never_goes_back(cut: int) -> None:
    lines = recorded()
    told = told_by([*lines[cut:], *lines[: cut * 2]])
    steps = [done for done, total in told if total]
    assert all(a < b for a, b in itertools.pairwise(steps))
    assert not steps or steps[-1] <= STEPS


def test_an_error_in_what_is_shown_does_not_reach_tensorrt() -> None:
    def broken(message: str) -> None:
        raise ValueError(message)

    log = Log(TRT)
    log.heard = broken
    log.sink.log(4, "a line")
    assert log.messages == ["a line"]
    assert not log.is_interrupted


def test_ctrl_c_does_not_reach_tensorrt_and_is_kept() -> None:
    def interrupted(message: str) -> None:
        raise KeyboardInterrupt

    log = Log(TRT)
    log.heard = interrupted
    log.sink.log(3, "a line")
    assert log.is_interrupted


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_ctrl_c_between_two_steps_stops_the_build_at_the_next() -> None:
    log = Log(TRT)
    with pytest.raises(KeyboardInterrupt), interrupts_held() as hold, hold:
        monitor = monitor_for(object, lambda *_: None, log, hold)
        monitor.phase_start("Building engine", None, 2)
        assert monitor.step_complete("Building engine", 0)
        os.kill(os.getpid(), signal.SIGINT)
        assert not monitor.step_complete("Building engine", 1)
        monitor.phase_finish("Building engine")
    assert not log.is_interrupted
