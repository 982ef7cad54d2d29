"""What `edgeseg doctor` shows of a machine."""

from __future__ import annotations

from pathlib import Path

from fake_machine import FakeGpu, machine, write

from edgeseg.commands.doctor import machine_rows
from edgeseg.measure.device import describe_device

NONE = {"counters": [], "hint": ""}
CPUFREQ = "sys/devices/system/cpu/cpufreq/policy0"


def test_governor_gpu_and_counters_take_a_line_each(tmp_path: Path) -> None:
    files = {"affected_cpus": "0 1", "scaling_governor": "powersave", "scaling_driver": "intel_pstate"}
    clocks = {"scaling_min_freq": 400_000, "scaling_max_freq": 3_500_000, "cpuinfo_max_freq": 4_700_000}
    write(tmp_path, {f"{CPUFREQ}/{name}": value for name, value in {**files, **clocks}.items()})
    device = describe_device(machine(tmp_path, gpu=FakeGpu(mask=0x4)))
    rows = dict(machine_rows(device, {"counters": ["rapl", "nvml"], "hint": ""}))
    assert rows["clock"] == "0-1: 400 to 3500 of 4700 MHz, powersave (intel_pstate)"
    assert rows["GPU"] == (
        "GPU 9000, driver 580.95.05, CUDA 13.0, 24576 MiB, 1980 of 2100 MHz, up to 450 W, 61 °C, power-limit"
    )
    assert rows["energy counters"] == "rapl, nvml"
    assert "state" not in rows


def test_a_jetson_has_its_mode_and_whether_its_clocks_are_locked(tmp_path: Path) -> None:
    write(tmp_path, {"etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 1"})
    write(tmp_path, {f"{CPUFREQ}/scaling_min_freq": 729_600, f"{CPUFREQ}/scaling_max_freq": 1_728_000})
    device = describe_device(machine(tmp_path, {"nvpmodel": "NV Power Mode: 25W\n1\n"}))
    rows = dict(machine_rows(device, NONE))
    assert (rows["power mode"], rows["Jetson Linux"]) == ("25W (1)", "36.4.3, clocks not locked")
    assert rows["clock"] == ": 729 to 1728 of ? MHz, unknown (unknown)"


def test_a_machine_that_tells_nothing_has_few_lines(tmp_path: Path) -> None:
    device = describe_device(machine(tmp_path))
    device |= {
        "state": {**device["state"], "battery": {"percent": 80.0, "plugged": False}, "temperatures": {"a": 61.2}}
    }
    rows = dict(machine_rows(device, {"counters": [], "hint": "sudo chmod ..."}))
    assert (rows["battery"], rows["hottest"]) == ("80% on battery", "61 °C, a")
    assert rows["energy counters"] == "none; sudo chmod ..."
    assert not {"clock", "GPU", "Jetson Linux", "governor", "turbo"} & set(rows)
