"""The power of a board's supply rails, from its INA sensors as Linux shows them, which needs no root and no tool."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from edgeseg.measure.sysfs import ROOT, number_at, paths_like, text_at

BOARD_INPUT = {"ina238": "VIN"}  # sensors without a label that measure the input of the board: Thor
SUM = "sum of shunt voltages"  # the INA3221's seventh channel, which is no rail
NO_RAIL = "NC"
SUPPLY = re.compile(r"V(DD|IN)|POM_|(GPU|CPU|SOC|CV|SYS5V)$")  # names of a Jetson's rails


def rails_mw(root: Path = ROOT) -> dict[str, float]:
    """Milliwatts now, by rail; empty without sensors."""
    rails: dict[str, float] = {}
    for sensor in ina_sensors(root):
        rails.update(sensor_rails(sensor))
    for label in paths_like("sys/bus/i2c/drivers/ina3221x/*/iio:device*/rail_name_[0-9]", root):  # before JetPack 5
        power = number_at(label.with_name(f"in_power{label.name[-1]}_input"))
        if power is not None and text_at(label) not in ("", NO_RAIL):
            rails[text_at(label)] = float(power)
    return rails


def is_board(rails: Iterable[str]) -> bool:
    """Whether sensors measure a Jetson's supply, and not, say, a fan or one slot of a server."""
    return any(SUPPLY.match(name) for name in rails)


def ina_sensors(root: Path = ROOT) -> list[Path]:
    """The folders of the power monitors."""
    return [each for each in paths_like("sys/class/hwmon/hwmon*", root) if text_at(each / "name").startswith("ina")]


def sensor_rails(sensor: Path) -> dict[str, float]:
    """Milliwatts by rail of one sensor: measured by it, or voltage times current."""
    rails: dict[str, float] = {}
    for current in paths_like("curr[0-9]_input", sensor):
        channel = current.name[4]
        label = text_at(sensor / f"in{channel}_label") or BOARD_INPUT.get(text_at(sensor / "name"), "")
        microwatts = number_at(sensor / f"power{channel}_input")
        millivolts, milliamperes = number_at(sensor / f"in{channel}_input"), number_at(current)
        if label in ("", SUM, NO_RAIL):
            continue
        if microwatts is not None:
            rails[label] = microwatts / 1e3
        elif millivolts is not None and milliamperes is not None:
            rails[label] = millivolts * milliamperes / 1e3
    return rails
