"""Clocks of the processor as cpufreq shows them."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_machine import write

from edgeseg.measure.clocks import MAX_READINGS, CoreSet, clocks_mhz, core_sets, platform_profile, ranges, turbo

CPU = "sys/devices/system/cpu"


def policy(first: int, cpus: str, governor: str, low: int, high: int, now: int) -> dict[str, object]:
    folder = f"{CPU}/cpufreq/policy{first}"
    return {
        f"{folder}/affected_cpus": cpus,
        f"{folder}/scaling_governor": governor,
        f"{folder}/scaling_driver": "intel_pstate",
        f"{folder}/scaling_min_freq": low * 1000,
        f"{folder}/scaling_max_freq": high * 1000,
        f"{folder}/cpuinfo_max_freq": 4700_000,
        f"{folder}/scaling_cur_freq": now * 1000,
    }


def test_cores_with_the_same_settings_are_one_set(tmp_path: Path) -> None:
    for first in (0, 1, 10):
        write(tmp_path, policy(first, str(first), "powersave", 400, 4700, 900 + first))
    write(tmp_path, policy(2, "2 3", "performance", 2000, 2000, 2000))
    assert core_sets(tmp_path) == [
        CoreSet("0-1,10", "powersave", "intel_pstate", 400, 4700, 4700),
        CoreSet("2-3", "performance", "intel_pstate", 2000, 2000, 4700),
    ]
    assert [each.locked for each in core_sets(tmp_path)] == [False, True]
    assert clocks_mhz(tmp_path) == {"0": 900, "1": 901, "2": 2000, "10": 910}


def test_a_machine_with_many_cores_is_read_in_part(tmp_path: Path) -> None:
    for first in range(40):
        write(tmp_path, {f"{CPU}/cpufreq/policy{first}/scaling_cur_freq": 1000_000 + first})
    clocks = clocks_mhz(tmp_path)
    assert len(clocks) <= MAX_READINGS
    assert list(clocks)[:2] == ["0", "3"]


def test_values_that_cannot_be_read_are_unknown(tmp_path: Path) -> None:
    write(
        tmp_path, {f"{CPU}/cpufreq/policy0/scaling_cur_freq": "<unknown>", f"{CPU}/cpufreq/policy0/affected_cpus": ""}
    )
    assert core_sets(tmp_path) == [CoreSet("", "", "", None, None, None)]
    assert not core_sets(tmp_path)[0].locked
    assert clocks_mhz(tmp_path) == {}


@pytest.mark.parametrize(
    ("files", "state"),
    [
        ({f"{CPU}/intel_pstate/no_turbo": 0}, "on"),
        ({f"{CPU}/intel_pstate/no_turbo": 1, f"{CPU}/cpufreq/boost": 1}, "off"),
        ({f"{CPU}/cpufreq/boost": 1}, "on"),
        ({f"{CPU}/cpufreq/boost": 0}, "off"),
        ({}, ""),
    ],
)
def test_turbo_is_on_off_or_unknown(files: dict[str, object], state: str, tmp_path: Path) -> None:
    assert turbo(write(tmp_path, files)) == state


def test_a_virtual_machine_without_cpufreq_has_no_clocks(tmp_path: Path) -> None:
    assert (core_sets(tmp_path), clocks_mhz(tmp_path), platform_profile(tmp_path)) == ([], {}, "")


def test_ranges_are_as_linux_writes_them() -> None:
    assert ranges([3, 1, 2, 0, 6, 2]) == "0-3,6"
    assert ranges([]) == ""
