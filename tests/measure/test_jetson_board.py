"""A Jetson's release, power mode and clocks."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_machine import machine, write

from edgeseg.measure.jetson_board import JetsonBoard, jetson_board

RELEASE = {"etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic"}
MODES = {"etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >"}
SHOWN = (
    "cpu0: Governor=schedutil MinFreq=729600 MaxFreq=1728000 CurrentFreq=729600 IdleStates: WFI=1\n"
    "GPU MinFreq=306000000 MaxFreq=918000000 CurrentFreq=306000000"
)
CPUFREQ = "sys/devices/system/cpu/cpufreq/policy0"
GPU = "sys/class/devfreq/17000000.gpu"


def test_another_machine_is_no_jetson(tmp_path: Path) -> None:
    assert jetson_board(machine(tmp_path, {"nvpmodel": "NV Power Mode: MAXN\n0"})) is None


def test_the_tools_are_asked(tmp_path: Path) -> None:
    outputs = {"nvpmodel": "NV Power Mode: 15W\n0\n", "jetson_clocks": SHOWN}
    board = jetson_board(machine(write(tmp_path, {**RELEASE, **MODES}), outputs))
    assert board == JetsonBoard("36.4.3", "15W (0)", "MAXN_SUPER (2)", False, {"GPU": (306, 918)})
    assert not board.is_best_mode


def test_files_tell_what_the_tools_do_not(tmp_path: Path) -> None:
    files = {**RELEASE, **MODES, "var/lib/nvpmodel/status": "pmode:0002 fmode:quiet"}
    board = jetson_board(machine(write(tmp_path, files)))
    assert board == JetsonBoard("36.4.3", "MAXN_SUPER (2)", "MAXN_SUPER (2)", None)
    assert board.is_best_mode


@pytest.mark.parametrize(
    ("cpu", "gpu", "locked"),
    [((1_728_000, 1_728_000), (1_020_000_000, 1_020_000_000), True), ((729_600, 1_728_000), (5, 5), False),
     ((1_728_000, 1_728_000), (306_000_000, 1_020_000_000), False)],
)  # fmt: skip
def test_limits_tell_whether_clocks_are_locked(
    cpu: tuple[int, int], gpu: tuple[int, int], locked: bool, tmp_path: Path
) -> None:
    write(tmp_path, {f"{CPUFREQ}/scaling_min_freq": cpu[0], f"{CPUFREQ}/scaling_max_freq": cpu[1]})
    write(tmp_path, {f"{GPU}/min_freq": gpu[0], f"{GPU}/max_freq": gpu[1], "sys/class/devfreq/emc/min_freq": 1})
    board = jetson_board(machine(write(tmp_path, RELEASE)))
    assert board is not None
    assert board.clocks_locked is locked
    assert board.limits_mhz == {"17000000.gpu": (gpu[0] // 1_000_000, gpu[1] // 1_000_000)}


def test_the_best_mode_of_a_board_without_an_unlimited_one_is_the_first(tmp_path: Path) -> None:
    write(tmp_path, {**RELEASE, "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=1 NAME=7W >"})
    slow, fast = (
        jetson_board(machine(tmp_path, {"nvpmodel": f"NV Power Mode: {mode}"})) for mode in ("7W\n1", "15W\n0")
    )
    assert slow is not None
    assert fast is not None
    assert (slow.best_mode, slow.is_best_mode, fast.is_best_mode) == ("15W (0)", False, True)


def test_a_mode_is_not_called_slow_where_modes_are_unknown() -> None:
    assert JetsonBoard("36.3.0", "7W (1)").is_best_mode
    assert JetsonBoard("38.2.0", "", "MAXN (0)").is_best_mode
    assert not JetsonBoard("38.2.0", "120W (1)", "MAXN (0)").is_best_mode
