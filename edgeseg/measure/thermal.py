"""Linux's thermal zones, trip points and cooling devices: whether heat slows the machine down."""

from __future__ import annotations

from pathlib import Path

from edgeseg.measure.sysfs import ROOT, number_at, paths_like, text_at
from edgeseg.measure.temperature import PLAUSIBLE

PASSIVE = (40.0, PLAUSIBLE[1])  # °C of a trip point that slows clocks down: firmware also gives 0 and room temperature
# Cooling devices that slow the processor or the GPU down; a fan is none.
SLOWING = ("Processor", "cpufreq", "thermal-cpufreq", "devfreq", "thermal-devfreq")
ALERT = "-throttle-alert"  # of a Jetson


def hot_zones(root: Path = ROOT) -> list[str]:
    """The zones that are at or above the trip point where the system slows clocks down."""
    return [name for name, (celsius, trip) in zones(root).items() if trip is not None and celsius >= trip]


def zones(root: Path = ROOT) -> dict[str, tuple[float, float | None]]:
    """Temperature and lowest passive trip point in °C, by the name of the zone; a sensor that is off is left out."""
    result: dict[str, tuple[float, float | None]] = {}
    for zone in paths_like("sys/class/thermal/thermal_zone*", root):
        millicelsius = number_at(zone / "temp")
        if millicelsius is None or not PLAUSIBLE[0] < millicelsius / 1e3 < PLAUSIBLE[1] or not millicelsius:
            continue
        name = text_at(zone / "type") or zone.name
        number = zone.name.removeprefix("thermal_zone")
        result[name if name not in result else f"{name} {number}"] = (millicelsius / 1e3, passive_trip(zone))
    return result


def passive_trip(zone: Path) -> float | None:
    """The lowest temperature of a zone at which clocks are slowed down, °C."""
    trips = [
        millicelsius / 1e3
        for kind in paths_like("trip_point_*_type", zone)
        if text_at(kind) == "passive"
        and (millicelsius := number_at(kind.with_name(kind.name.replace("_type", "_temp")))) is not None
    ]
    return min((trip for trip in trips if PASSIVE[0] <= trip <= PASSIVE[1]), default=None)


def slowing_devices(root: Path = ROOT) -> list[str]:
    """The cooling devices that slow the processor or the GPU down now."""
    devices = [
        text_at(device / "type")
        for device in paths_like("sys/class/thermal/cooling_device*", root)
        if (number_at(device / "cur_state") or 0) > 0
    ]
    return sorted({name for name in devices if name.startswith(SLOWING) or name.endswith(ALERT)})
