"""The battery, where there is one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import psutil


@dataclass(frozen=True)
class Battery:
    """plugged: on mains power; None where the system does not know."""

    percent: float
    plugged: bool | None

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def battery() -> Battery | None:
    """The first battery of this machine; None without one."""
    read = getattr(psutil, "sensors_battery", None)
    try:
        state = read() if read is not None else None
    except (OSError, RuntimeError, ValueError, AttributeError):  # a battery that vanishes or is denied
        return None
    return None if state is None else Battery(round(float(state.percent), 1), state.power_plugged)
