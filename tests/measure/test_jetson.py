"""The texts of a Jetson's tools, in the formats of JetPack 4 to 7."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.measure.jetson import (
    Engine,
    jetson_clocks_from_text,
    power_mode_from_text,
    power_modes_from_configuration,
    release_from_text,
    tegrastats_from_line,
    watts_from_rails,
)

LINES = {
    "nano-jetpack-4": (
        "RAM 1523/3964MB (lfb 3x2MB) SWAP 91/1982MB (cached 6MB) IRAM 0/252kB(lfb 252kB) "
        "CPU [15%@1428,4%@1428,off,off] EMC_FREQ 0%@1600 GR3D_FREQ 12%@921 APE 25 "
        "PLL@37.5C CPU@40C PMIC@50C GPU@38C AO@45C thermal@39C POM_5V_IN 2750/2628 POM_5V_GPU 40/20 POM_5V_CPU 466/406"
    ),
    "agx-xavier-jetpack-4": (
        "RAM 2721/31927MB (lfb 6291x4MB) SWAP 0/15963MB (cached 0MB) CPU [2%@1190,0%@1190,off,off,off,off,off,off] "
        "EMC_FREQ 0%@665 GR3D_FREQ 45%@318 APE 150 MTS fg 0% bg 1% AO@37.5C GPU@38.5C Tdiode@40C PMIC@100C AUX@36C "
        "CPU@37.5C thermal@36.9C Tboard@37C GPU 1200/800 CPU 311/310 SOC 932/930 CV 0/0 VDDRQ 621/620 SYS5V 1482/1480"
    ),
    "xavier-nx-jetpack-5": (
        "05-11-2024 13:31:31 RAM 3168/6851MB (lfb 2x4MB) SWAP 161/3426MB (cached 0MB) "
        "CPU [23%@1397,17%@1192,16%@1190,13%@1190,23%@1190,10%@1190] EMC_FREQ 2%@204 GR3D_FREQ 66%@[1109] VIC_FREQ 115 "
        "APE 150 AUX@45C CPU@46.5C thermal@45.6C AO@45C GPU@45.5C PMIC@50C "
        "VDD_IN 6763mW/5846mW VDD_CPU_GPU_CV 2650mW/1670mW VDD_SOC 1650mW/1711mW"
    ),
    "orin-nano-jetpack-6": (
        "09-08-2026 04:38:21 RAM 2343/7620MB (lfb 157x4MB) SWAP 165/3810MB (cached 3MB) "
        "CPU [38%@1497,2%@729,1%@729,0%@729,1%@729,0%@729] EMC_FREQ 61%@2133 GR3D_FREQ 99%@[612] NVDEC off NVJPG off "
        "NVJPG1 off VIC off OFA off APE 200 cpu@57.125C soc2@55.093C soc0@56.625C gpu@58.625C tj@58.625C soc1@55.937C "
        "VDD_IN 12321mW/11204mW VDD_CPU_GPU_CV 5104mW/4944mW VDD_SOC 3120mW/3659mW"
    ),
    "agx-orin-jetpack-6": (
        "05-09-2026 18:42:06 RAM 18207/62841MB (lfb 466x4MB) SWAP 86/31420MB (cached 0MB) CPU [14%@2188,5%@2112,"
        "46%@1267,off] EMC_FREQ 3%@2133 GR3D_FREQ 71%@[1300,1300] NVENC 79%@166 NVDEC off VIC 36%@115 NVDLA0 off "
        "PVA0_FREQ off APE 174 CV0@-256C cpu@52.562C gpu@51.25C tj@52.562C "
        "VDD_GPU_SOC 9412mW/2412mW VDD_CPU_CV 1607mW/1607mW VIN_SYS_5V0 4707mW/4707mW NC 0mW/0mW "
        "VDDQ_VDD2_1V8AO 1301mW/1301mW NC 0mW/0mW"
    ),
    "thor-jetpack-7.1": (
        "04-21-2026 15:50:52 RAM 25265/125772MB (lfb 34x4MB) CPU [0%@972,0%@972,8%@2601,0%@972] EMC_FREQ 0%@2750 "
        "GR3D_FREQ @[1314,1314,1314] NVENC0_FREQ @314 NVDEC0_FREQ @314 NVJPG0_FREQ @314 VIC off OFA_FREQ @315 "
        "PVA0_FREQ off APE 300 cpu@37.343C tj@38.875C soc012@37.468C gpu@38.875C soc345@37.406C VDD_GPU -392mW/-392mW "
        "VDD_CPU_SOC_MSS 5887mW/5887mW VIN_SYS_5V0 5635mW/5635mW VIN 19780mW/19780mW"
    ),
    "thor-jetpack-7.2": (
        "07-02-2026 13:45:44 RAM 36529/125749MB (lfb 12x4MB) SWAP 11/4096MB (cached 9MB) CPU [2%@972,1%@972,0%@972] "
        "cpu@60.406C/61C tj@63.281C/64C soc012@58.468C/58.5C gpu@62.906C/63.5C "
        "VDD_GPU 37528mW/37528mW/37528mW VDD_CPU_SOC_MSS 18961mW/18961mW/18961mW "
        "VIN_SYS_5V0 18331mW/18331mW/18331mW VIN 87426mW/43713mW/88426mW"
    ),
}
# RAM used, number of cores, cores that are off, GPU load and clocks, a temperature, watts of the board
EXPECTED = {
    "nano-jetpack-4": (1523, 4, 2, Engine(12, (921,)), ("GPU", 38.0), 2.750),
    "agx-xavier-jetpack-4": (2721, 8, 6, Engine(45, (318,)), ("GPU", 38.5), 4.546),
    "xavier-nx-jetpack-5": (3168, 6, 0, Engine(66, (1109,)), ("CPU", 46.5), 6.763),
    "orin-nano-jetpack-6": (2343, 6, 0, Engine(99, (612,)), ("tj", 58.625), 12.321),
    "agx-orin-jetpack-6": (18207, 4, 1, Engine(71, (1300, 1300)), ("CV0", -256.0), 15.726),
    "thor-jetpack-7.1": (25265, 4, 0, Engine(None, (1314, 1314, 1314)), ("soc345", 37.406), 19.780),
    "thor-jetpack-7.2": (36529, 3, 0, None, ("gpu", 62.906), 87.426),
}


@pytest.mark.parametrize("board", LINES)
def test_a_line_of_each_board_is_read_whole(board: str) -> None:
    stats = tegrastats_from_line(LINES[board])
    ram, cores, off, gpu, (sensor, celsius), watts = EXPECTED[board]
    assert stats.unknown == ()
    assert stats.ram_mib is not None
    assert stats.ram_mib[0] == ram
    assert len(stats.cores) == cores
    assert stats.cores.count(None) == off
    assert stats.gpu == gpu
    assert stats.celsius[sensor] == celsius
    assert stats.watts == pytest.approx(watts)


def test_rails_and_units_of_a_line_have_their_values() -> None:
    stats = tegrastats_from_line(LINES["agx-orin-jetpack-6"])
    assert stats.rails_mw == {
        "VDD_GPU_SOC": 9412, "VDD_CPU_CV": 1607, "VIN_SYS_5V0": 4707, "VDDQ_VDD2_1V8AO": 1301
    }  # fmt: skip
    assert stats.cores[2] == Engine(46, (1267,))
    assert stats.swap_mib == (86, 31420)
    assert stats.engines["NVENC"] == Engine(79, (166,))
    assert stats.engines["NVDEC"] == Engine()
    assert stats.engines["EMC_FREQ"] == Engine(3, (2133,))
    assert stats.engines["APE"] == Engine(None, (174,))


def test_one_clock_for_all_cores_is_that_of_each() -> None:
    assert tegrastats_from_line("CPU [5%,off,7%]@1190").cores == (Engine(5, (1190,)), None, Engine(7, (1190,)))
    assert tegrastats_from_line("CPU [5%,7%]").cores == (Engine(5), Engine(7))


def test_what_is_not_known_of_a_line_is_kept_and_the_rest_is_read() -> None:
    stats = tegrastats_from_line("WARP 9x RAM 10/20MB (lfb 1x4MB) [new] GR3D_FREQ 5%@[306] VDD_IN 4mW/5mW ??")
    assert stats.unknown == ("WARP", "9x", "[new]", "??")
    assert (stats.ram_mib, stats.gpu, stats.watts) == ((10, 20), Engine(5, (306,)), 0.004)


@pytest.mark.parametrize(
    ("rails", "watts"),
    [
        ({"VIN": 20000, "VDD_GPU": 5000, "VIN_SYS_5V0": 6000}, 20.0),
        ({"VDD_GPU": 5000, "VDD_CPU_SOC_MSS": 4000, "VIN_SYS_5V0": 6000}, 15.0),
        ({"VDD_SYS_GPU": 153, "VDD_IN": 1649, "VDD_SYS_CPU": 306}, 1.649),
        ({"VIN_SYS_5V0": 4000, "VDDQ_VDD2_1V8AO": 900}, 4.0),
        ({}, None),
        ({"VDDQ_VDD2_1V8AO": 900}, None),
    ],
)
def test_the_power_of_a_board_is_its_input_or_the_sum_of_its_rails(
    rails: dict[str, float], watts: float | None
) -> None:
    assert watts_from_rails(rails) == watts


@pytest.mark.parametrize(
    ("text", "name", "number", "fan", "unknown"),
    [
        ("NV Power Mode: MAXN\n0\n", "MAXN", 0, "", ()),
        ("NV Power Mode: MAXN_SUPER\n2\n", "MAXN_SUPER", 2, "", ()),
        ("NV Fan Mode:quiet\nNV Power Mode: MODE_15W_6CORE\n2\n", "MODE_15W_6CORE", 2, "quiet", ()),
        ("NVPM WARN: fan mode is not set!\nNV Power Mode: MODE_30W_ALL\n3\n", "MODE_30W_ALL", 3, "",
         ("NVPM WARN: fan mode is not set!",)),
        ("NVPM VERB: parsing done\nNVPM VERB: Current mode: NV Power Mode: 120W\n1\n", "120W", 1, "",
         ("NVPM VERB: parsing done",)),
        ("", "", None, "", ()),
    ],
)  # fmt: skip
def test_the_power_mode_is_read_plain_and_verbose(
    text: str, name: str, number: int | None, fan: str, unknown: tuple[str, ...]
) -> None:
    mode = power_mode_from_text(text)
    assert (mode.name, mode.number, mode.fan, mode.unknown) == (name, number, fan, unknown)
    assert str(mode) == (f"{name} ({number})" if name else "")


def test_the_modes_of_a_configuration_are_listed() -> None:
    text = "# modes\n< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n"
    assert power_modes_from_configuration(text) == {0: "15W", 2: "MAXN_SUPER"}


XAVIER = """SOC family:tegra194  Machine:Jetson-AGX
Online CPUs: 0-1
CPU Cluster Switching: Disabled
cpu0: Online=1 Governor=schedutil MinFreq=1190400 MaxFreq=2265600 CurrentFreq=1574400 IdleStates: C1=1 c6=1
cpu1: Online=1 Governor=schedutil MinFreq=1190400 MaxFreq=2265600 CurrentFreq=1190400 IdleStates: C1=1 c6=1
GPU MinFreq=318750000 MaxFreq=1377000000 CurrentFreq=318750000
EMC MinFreq=204000000 MaxFreq=2133000000 CurrentFreq=2133000000 FreqOverride=0
Fan: speed=0
NV Power Mode: MODE_15W
"""
ORIN = """SOC family:tegra234  Machine:NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super
Online CPUs: 0-1
cpu0:  Governor=schedutil MinFreq=1728000 MaxFreq=1728000 CurrentFreq=1728000 IdleStates: WFI=0 c7=0
cpu1:  Governor=schedutil MinFreq=1728000 MaxFreq=1728000 CurrentFreq=1728000 IdleStates: WFI=0 c7=0
cpu2: Online=0 Governor=schedutil MinFreq=729600 MaxFreq=1728000 CurrentFreq=729600 IdleStates: WFI=0 c7=0
GPU MinFreq=1020000000 MaxFreq=1020000000 CurrentFreq=1020000000
Active GPU TPCs: 4
EMC MinFreq=204000000 MaxFreq=3199000000 CurrentFreq=3199000000 FreqOverride=1
DLA0_CORE:   Online=1 MinFreq=0 MaxFreq=1600000000 CurrentFreq=1600000000
FAN Dynamic Speed Control=nvfancontrol hwmon0_pwm1=60
NV Power Mode: MAXN_SUPER
"""


def test_clocks_that_can_move_are_told_from_locked_ones() -> None:
    free, locked = jetson_clocks_from_text(XAVIER), jetson_clocks_from_text(ORIN)
    assert (free.machine, free.power_mode, free.locked) == ("Jetson-AGX", "MODE_15W", False)
    assert (locked.power_mode, locked.locked) == ("MAXN_SUPER", True)
    assert [clock.name for clock in locked.clocks] == ["cpu0", "cpu1", "GPU", "EMC", "DLA0_CORE"]
    gpu = free.clocks[2]
    assert (gpu.name, gpu.min_mhz, gpu.max_mhz, gpu.now_mhz) == ("GPU", 318, 1377, 318)
    assert "Active GPU TPCs: 4" in locked.unknown
    assert "Fan: speed=0" in free.unknown


def test_an_output_without_clocks_says_nothing_of_locks() -> None:
    text = "Error: Run this script(/usr/bin/jetson_clocks) as a root user"
    clocks = jetson_clocks_from_text(text)
    assert clocks.locked is None
    assert clocks.unknown == (text,)


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("# R36 (release), REVISION: 4.3, GCID: 389, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 2025", "36.4.3"),
        ("# R38 (release), REVISION: 4.0, GCID: 434, BOARD: generic, EABI: aarch64, DATE: Wed Dec 31 2025", "38.4.0"),
        ("# R32 (release), REVISION: 7.1, GCID: 298, BOARD: t186ref, EABI: aarch64, DATE: Sat Feb 19 2022", "32.7.1"),
        ("Debian", ""),
    ],
)
def test_the_release_is_read(text: str, release: str) -> None:
    assert release_from_text(text) == release


FRAGMENTS = (
    *(
        "RAM 1/2MB",
        "CPU [",
        "CPU [1%@2,",
        "]",
        "GR3D_FREQ 9%@[",
        "cpu@1C",
        "VDD_IN 5mW/",
        "NV Power Mode:",
        "7",
        "@",
        "off",
    ),
    *("\n", "\u0663%", "-", "GPU MinFreq=1 MaxFreq=2 CurrentFreq=3", "< POWER_MODEL ID=1 NAME=A >"),
)


@given(st.one_of(st.text(max_size=300), st.lists(st.sampled_from(FRAGMENTS), max_size=30).map(" ".join)))
def test_no_text_is_an_error(text: str) -> None:
    stats = tegrastats_from_line(text)
    assert len(stats.unknown) <= len(text.split(" "))
    assert watts_from_rails(stats.rails_mw) == stats.watts
    assert jetson_clocks_from_text(text).locked in (True, False, None)
    str(power_mode_from_text(text))
    power_modes_from_configuration(text)
    release_from_text(text)
