"""Whether a machine slowed itself down."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_machine import write

from edgeseg.measure.gpu import GpuState
from edgeseg.measure.thermal import hot_zones, slowing_devices, zones
from edgeseg.measure.throttle import (
    Reading,
    ThrottleWatch,
    Throttling,
    first_and_last,
    throttle_counts,
    throttle_reading,
)

CPU = "sys/devices/system/cpu"
THERMAL = "sys/class/thermal"


def zone(number: int, name: str, millicelsius: object, **trips: int) -> dict[str, object]:
    folder = f"{THERMAL}/thermal_zone{number}"
    files: dict[str, object] = {f"{folder}/type": name, f"{folder}/temp": millicelsius}
    for index, (kind, trip) in enumerate(trips.items()):
        files |= {f"{folder}/trip_point_{index}_type": kind, f"{folder}/trip_point_{index}_temp": trip}
    return files


def watch(root: Path, *changes: dict[str, object]) -> Throttling:
    """A run in which files change before each sample."""
    watch = ThrottleWatch(lambda: throttle_reading(root), lambda: throttle_counts(root))
    watch.start()
    for files in changes:
        write(root, files)
        watch.sample()
    return watch.stop()


def test_a_cool_machine_was_not_throttled(tmp_path: Path) -> None:
    write(tmp_path, zone(0, "x86_pkg_temp", 55_000, active=50_000, passive=95_000, critical=100_000))
    assert watch(tmp_path, {}, {}) == Throttling(readings=3)


def test_counters_that_rise_are_reported_and_older_events_are_not(tmp_path: Path) -> None:
    core = f"{CPU}/cpu0/thermal_throttle/core_throttle_count"
    other = f"{CPU}/cpu1/thermal_throttle/core_throttle_count"
    package = f"{CPU}/cpu{{}}/thermal_throttle/package_throttle_count"
    write(tmp_path, {core: 7, other: 1, package.format(0): 9, package.format(1): 9})
    assert watch(tmp_path, {}).reasons == ()
    assert watch(tmp_path, {core: 10, other: 3}).reasons == ("thermal throttling of the core (5 times)",)
    assert watch(tmp_path, {package.format(0): 11, package.format(1): 11}).reasons == (
        "thermal throttling of the package (2 times)",
    )


def test_over_current_events_of_a_jetson_count_where_they_throttle(tmp_path: Path) -> None:
    folder = "sys/class/hwmon/hwmon3"
    write(tmp_path, {f"{folder}/oc{n}_event_cnt": 5 for n in (1, 2, 3)})
    write(tmp_path, {f"{folder}/oc1_throt_en": 0, f"{folder}/oc2_throt_en": 1, f"{folder}/oc3_throt_en": 1})
    found = watch(tmp_path, {f"{folder}/oc1_event_cnt": 9, f"{folder}/oc3_event_cnt": 45})
    assert found.reasons == ("over-current event oc3 (40 times)",)


def test_a_critical_current_is_reported_unless_it_is_from_before_the_run(tmp_path: Path) -> None:
    folder = "sys/class/hwmon/hwmon1"
    alarm = f"{folder}/curr1_crit_alarm"
    write(tmp_path, {f"{folder}/name": "ina3221", f"{folder}/in1_label": "VDD_IN", alarm: 0})
    assert watch(tmp_path, {alarm: 1}, {alarm: 0}).reasons == ("critical current of VDD_IN (1 of 3 readings)",)
    write(tmp_path, {alarm: 1})
    readings = iter([throttle_reading(tmp_path), Reading(), Reading()])  # a read takes the alarm back
    quiet = ThrottleWatch(lambda: next(readings), dict)
    quiet.start()
    quiet.sample()
    assert quiet.stop().reasons == ()


def test_a_zone_at_its_trip_point_is_reported(tmp_path: Path) -> None:
    write(tmp_path, zone(0, "cpu-thermal", 80_000, active=50_000, passive=99_000, critical=104_500))
    assert hot_zones(tmp_path) == []
    assert watch(tmp_path, {f"{THERMAL}/thermal_zone0/temp": 99_000}, {}).reasons == (
        "cpu-thermal at its trip point (3 of 3 readings)",
    )


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (zone(0, "acpitz", 27_800, passive=16_800), {"acpitz": (27.8, None)}),  # firmware that invents a trip point
        (zone(0, "gpu-thermal", ""), {}),  # off: a read fails or is empty
        (
            zone(1, "x86", 41_000) | zone(2, "x86", 42_000) | zone(12, "x86", 52_000),
            {"x86": (41.0, None), "x86 2": (42.0, None), "x86 12": (52.0, None)},
        ),
        (zone(0, "cv0-thermal", -256_000), {}),
        (zone(0, "cv1-thermal", 0), {}),
        (zone(0, "cpu", 50_000, passive=90_000, hot=95_000), {"cpu": (50.0, 90.0)}),
        ({**zone(0, "cpu", 50_000), **zone(1, "cpu", 51_000)}, {"cpu": (50.0, None), "cpu 1": (51.0, None)}),
    ],
)
def test_zones_have_a_temperature_and_a_trip_point(
    files: dict[str, object], expected: dict[str, tuple[float, float | None]], tmp_path: Path
) -> None:
    assert zones(write(tmp_path, files)) == expected


def test_cooling_devices_that_slow_are_told_from_fans(tmp_path: Path) -> None:
    for index, (name, state) in enumerate(
        [
            ("pwm-fan", 3),
            ("Processor", 0),
            ("cpu-throttle-alert", 1),
            ("devfreq-gpu-gpc-0", 2),
            ("intel_powerclamp", -1),
        ]
    ):
        folder = f"{THERMAL}/cooling_device{index}"
        write(tmp_path, {f"{folder}/type": name, f"{folder}/cur_state": state})
    assert slowing_devices(tmp_path) == ["cpu-throttle-alert", "devfreq-gpu-gpc-0"]
    assert throttle_reading(tmp_path).active == {"cpu-throttle-alert active", "devfreq-gpu-gpc-0 active"}


@pytest.mark.parametrize(
    ("bits", "reasons"),
    [
        ("0x0", set()),
        ("0x50000", set()),  # happened before, not now
        ("0x50005", {"under-voltage", "throttled by the firmware"}),
        ("8", {"soft temperature limit"}),
        ("none", set()),
    ],
)
def test_the_firmware_of_a_raspberry_pi_is_asked(bits: str, reasons: set[str], tmp_path: Path) -> None:
    write(tmp_path, {"sys/devices/platform/soc/soc:firmware/get_throttled": bits})
    assert throttle_reading(tmp_path).active == reasons


def gpu_run(*states: GpuState) -> Throttling:
    readings = iter([GpuState(), *states])
    watch = ThrottleWatch(lambda: throttle_reading(Path("/nowhere"), lambda: next(readings)), dict)
    watch.start()
    for _ in states[1:]:
        watch.sample()
    return watch.stop()


def test_a_gpu_that_throttles_is_told_from_one_at_its_power_limit() -> None:
    hot = gpu_run(GpuState(1500, reasons=("thermal-slowdown",)), GpuState(1500))
    assert hot.reasons == ("GPU thermal-slowdown (1 of 2 readings)",)
    limited = gpu_run(GpuState(1500, reasons=("power-limit",)), GpuState(1500))
    assert (limited.reasons, limited.power_limited) == ((), True)


def test_the_clock_of_an_idle_gpu_does_not_count() -> None:
    assert gpu_run(GpuState(210, reasons=("gpu-idle",)), GpuState(1980), GpuState(1965)).gpu_mhz == (1965, 1980)
    assert gpu_run(GpuState(210, reasons=("gpu-idle",)), GpuState()).gpu_mhz is None


def test_the_clock_of_the_fastest_core_is_compared_over_the_run(tmp_path: Path) -> None:
    def clocks(*mhz: int) -> dict[str, object]:
        return {f"{CPU}/cpufreq/policy{n}/scaling_cur_freq": each * 1000 for n, each in enumerate(mhz)}

    found = watch(tmp_path, *[clocks(4000, 800)] * 3, *[clocks(900, 3000)] * 3)
    assert found.cpu_mhz == (4000, 3000)
    assert first_and_last([4000] * 5) is None
