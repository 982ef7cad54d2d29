"""Energy by the counters that a machine has."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fake_machine import Clock, FakeGpu, FakeNvml, machine, write

from edgeseg.measure.machine import Machine
from edgeseg.measure.nvml import open_nvml
from edgeseg.measure.power import COUNTERS, Energy, PowerCounter, PowerMeter, counter_names, counters_of
from edgeseg.measure.rails import rails_mw
from edgeseg.measure.rapl import Rapl
from edgeseg.measure.tegrastats import TegrastatsProcess

RAPL = "sys/class/powercap"
PACKAGE = f"{RAPL}/intel-rapl:0"


def domain(folder: str, name: str, microjoules: int, maximum: int = 262_143_328_850) -> dict[str, object]:
    return {
        f"{RAPL}/{folder}/name": name,
        f"{RAPL}/{folder}/energy_uj": microjoules,
        f"{RAPL}/{folder}/max_energy_range_uj": maximum,
    }


def test_packages_and_memory_are_counted_once(tmp_path: Path) -> None:
    for folder, name in (
        ("intel-rapl:0", "package-0"),
        ("intel-rapl:0:0", "core"),  # part of the package
        ("intel-rapl:0:1", "dram"),
        ("intel-rapl:1", "package-1"),
        ("intel-rapl:2", "psys"),  # contains the packages
        ("intel-rapl-mmio:0", "package-0"),  # the same counter once more
    ):
        write(tmp_path, domain(folder, name, 1_000_000))
    rapl = Rapl(tmp_path)
    for folder in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:0:1", "intel-rapl:1", "intel-rapl:2"):
        write(tmp_path, {f"{RAPL}/{folder}/energy_uj": 4_500_000})
    assert rapl.joules() == pytest.approx(3 * 3.5)


def test_a_counter_that_wraps_around_counts_on(tmp_path: Path) -> None:
    write(tmp_path, domain("intel-rapl:0", "package-0", 9_000_000, maximum=9_999_999))
    rapl = Rapl(tmp_path)
    write(tmp_path, {f"{PACKAGE}/energy_uj": 1_000_000})
    assert rapl.joules() == pytest.approx(2.0)
    write(tmp_path, {f"{PACKAGE}/energy_uj": 3_000_000})
    assert rapl.joules() == pytest.approx(4.0)
    write(tmp_path, {f"{PACKAGE}/energy_uj": 0})
    assert rapl.joules() == pytest.approx(11.0)


def test_a_counter_that_is_denied_is_absent(tmp_path: Path) -> None:
    write(tmp_path, {f"{PACKAGE}/name": "package-0"})
    (tmp_path / PACKAGE / "energy_uj").mkdir()  # a read fails, for root too
    rapl = Rapl(tmp_path)
    assert (len(rapl), rapl.denied, rapl.joules()) == (0, True, None)
    assert counters_of(machine(tmp_path)) == {}
    assert not Rapl(tmp_path / "none").denied


INA3221 = {
    "sys/class/hwmon/hwmon1/name": "ina3221",
    "sys/class/hwmon/hwmon1/in1_label": "VDD_GPU",
    "sys/class/hwmon/hwmon1/in1_input": 12_000,
    "sys/class/hwmon/hwmon1/curr1_input": 1_500,
    "sys/class/hwmon/hwmon1/in2_label": "NC",
    "sys/class/hwmon/hwmon1/in2_input": 0,
    "sys/class/hwmon/hwmon1/curr2_input": 0,
    "sys/class/hwmon/hwmon1/curr4_input": 360,
    "sys/class/hwmon/hwmon1/in7_label": "sum of shunt voltages",
    "sys/class/hwmon/hwmon1/in7_input": 760,
    "sys/class/hwmon/hwmon2/name": "pwmfan",
}
INA238 = {
    "sys/class/hwmon/hwmon3/name": "ina238",
    "sys/class/hwmon/hwmon3/in1_input": 20_000,
    "sys/class/hwmon/hwmon3/curr1_input": 1_000,
    "sys/class/hwmon/hwmon3/power1_input": 19_780_000,
}


def test_rails_are_voltage_times_current_or_the_measured_power(tmp_path: Path) -> None:
    assert rails_mw(write(tmp_path, INA3221)) == {"VDD_GPU": 18_000.0}
    assert rails_mw(write(tmp_path, INA238)) == {"VDD_GPU": 18_000.0, "VIN": 19_780.0}


def test_other_sensors_are_not_taken_for_the_supply(tmp_path: Path) -> None:
    folder = "sys/class/hwmon/hwmon1"
    files = {"name": "ina219", "in1_label": "fan", "in1_input": 12_000, "curr1_input": 100}
    write(tmp_path, {f"{folder}/{name}": value for name, value in files.items()})
    assert rails_mw(tmp_path) == {"fan": 1200.0}
    assert counters_of(machine(tmp_path)) == {}


def test_rails_of_older_releases_are_read(tmp_path: Path) -> None:
    folder = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    files = {f"{folder}/rail_name_0": "POM_5V_IN", f"{folder}/in_power0_input": 2750}
    assert rails_mw(write(tmp_path, files)) == {"POM_5V_IN": 2750.0}


def test_power_between_readings_is_joined_by_lines() -> None:
    clock, readings = Clock(), iter([10.0, 20.0, None, 40.0])
    counter = PowerCounter(lambda: next(readings), clock)
    counter.start()
    clock.now += 1
    counter.sample()  # 15 J
    clock.now += 1
    counter.sample()  # fails
    clock.now += 1
    assert counter.stop() == pytest.approx(15 + 2 * 30)


def test_one_reading_of_power_is_no_energy() -> None:
    readings = iter([10.0, None])
    counter = PowerCounter(lambda: next(readings), Clock())
    counter.start()
    assert counter.stop() is None


def test_a_board_has_one_counter_and_it_is_integrated(tmp_path: Path) -> None:
    write(tmp_path, {**INA3221, **domain("intel-rapl:0", "package-0", 0)})
    clock = Clock()
    meter = PowerMeter(counters_of(machine(tmp_path), None, 0, clock), clock)
    meter.start()
    for _ in range(4):
        clock.now += 0.5
        meter.sample()
    assert meter.stop() == Energy(joules=36.0, watts=18.0, counter="ina")


def test_processor_and_gpu_add_up(tmp_path: Path) -> None:
    write(tmp_path, domain("intel-rapl:0", "package-0", 5_000_000))
    clock, gpu = Clock(), FakeGpu(energy_mj=7_000)
    nvml = open_nvml(FakeNvml(gpu))
    meter = PowerMeter(counters_of(machine(tmp_path), nvml, 0, clock), clock)
    meter.start()
    clock.now += 2
    gpu.energy_mj = 27_000
    write(tmp_path, {f"{PACKAGE}/energy_uj": 15_000_000})
    assert meter.stop() == Energy(joules=30.0, watts=15.0, counter="rapl+nvml")


def test_a_run_on_the_cpu_leaves_the_gpu_out(tmp_path: Path) -> None:
    write(tmp_path, domain("intel-rapl:0", "package-0", 0))
    nvml = open_nvml(FakeNvml(FakeGpu()))
    assert list(counters_of(machine(tmp_path), nvml, None)) == ["rapl"]
    assert list(counters_of(machine(tmp_path), nvml, 7)) == ["rapl"]


def test_a_gpu_without_an_energy_counter_is_sampled(tmp_path: Path) -> None:
    clock, gpu = Clock(), FakeGpu(energy_mj=None, power_mw=50_000)
    meter = PowerMeter(counters_of(machine(tmp_path), open_nvml(FakeNvml(gpu)), 0, clock), clock)
    meter.start()
    clock.now += 2
    gpu.power_mw = 150_000
    assert meter.stop() == Energy(joules=200.0, watts=100.0, counter="nvml")


def test_a_counter_that_fails_during_the_run_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, domain("intel-rapl:0", "package-0", 0))
    clock, gpu = Clock(), FakeGpu(energy_mj=1_000)
    meter = PowerMeter(counters_of(machine(tmp_path), open_nvml(FakeNvml(gpu)), 0, clock), clock)
    meter.start()
    clock.now += 1
    gpu.energy_mj = None
    write(tmp_path, {f"{PACKAGE}/energy_uj": 3_000_000})
    assert meter.stop() == Energy(joules=3.0, watts=3.0, counter="rapl")


def test_a_machine_without_counters_gives_no_energy(tmp_path: Path) -> None:
    clock = Clock()
    meter = PowerMeter(counters_of(machine(tmp_path), clock=clock), clock)
    meter.start()
    clock.now += 1
    meter.sample()
    assert meter.stop() is None
    assert counter_names(machine(tmp_path)) == []


def test_the_counters_of_a_machine_are_listed(tmp_path: Path) -> None:
    write(tmp_path, domain("intel-rapl:0", "package-0", 0))
    assert counter_names(machine(tmp_path, gpu=FakeGpu())) == ["rapl", "nvml"]
    assert set(COUNTERS) == {"ina", "tegrastats", "rapl", "nvml"}


WAITS = "import signal; print('RAM 1/2MB VDD_IN 8000mW/7000mW', flush=True); signal.pause()"


def test_tegrastats_is_started_read_and_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeseg.measure.tegrastats.FIRST_LINE_SECONDS", 60.0)
    process = TegrastatsProcess([sys.executable, "-c", WAITS])
    clock = Clock()
    tool = Machine(tmp_path, lambda *words: "", lambda: None, lambda: process)
    meter = PowerMeter(counters_of(tool, clock=clock), clock)
    meter.start()
    clock.now += 3
    assert meter.stop() == Energy(joules=24.0, watts=8.0, counter="tegrastats")
    assert process._process is None


@pytest.mark.parametrize("code", ["pass", "print('an error')"])
def test_a_tool_without_power_is_stopped_again(code: str, tmp_path: Path) -> None:
    process = TegrastatsProcess([sys.executable, "-c", code])
    assert counters_of(Machine(tmp_path, lambda *words: "", lambda: None, lambda: process)) == {}
    assert process._process is None
    assert not TegrastatsProcess(["edgeseg-no-such-tool"]).start()
