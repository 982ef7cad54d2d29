"""The temperatures that the system reports."""

from __future__ import annotations

import psutil

PLAUSIBLE = (-40.0, 150.0)  # boards report -256 or 0.001 for a sensor that is switched off


def temperatures() -> dict[str, float]:
    """Degrees Celsius by sensor; empty where the system has none or hides them, as in most containers."""
    read = getattr(psutil, "sensors_temperatures", None)
    try:
        chips = read() if read is not None else {}
    except (OSError, RuntimeError, ValueError):  # a sensor that vanishes or is denied
        return {}
    named: dict[str, float] = {}
    for chip, sensors in chips.items():
        for index, sensor in enumerate(sensors):
            name = " ".join(filter(None, [chip, sensor.label or (str(index) if len(sensors) > 1 else "")]))
            if sensor.current and PLAUSIBLE[0] < sensor.current < PLAUSIBLE[1]:
                named[name] = float(sensor.current)
    return named
