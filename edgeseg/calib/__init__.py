"""Ranges from images, and INT8 from ranges. The observers are listed here; nothing is imported."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from edgeseg.errors import UnknownNameError

if TYPE_CHECKING:
    from edgeseg.calib.observer import Observer
    from edgeseg.calib.range import Range, TensorStats

OBSERVERS = {
    "average": "edgeseg.calib.average",
    "entropy": "edgeseg.calib.entropy",
    "minmax": "edgeseg.calib.minmax",
    "mse": "edgeseg.calib.mse",
    "percentile": "edgeseg.calib.percentile",
}


def open_observer(name: str) -> type[Observer]:
    """The observer class `name`. UnknownNameError, with the nearest name, where there is none."""
    if name not in OBSERVERS:
        raise UnknownNameError.among("observer", name, OBSERVERS)
    observer: type[Observer] = importlib.import_module(OBSERVERS[name]).OBSERVER
    return observer


def range_from_stats(stats: TensorStats, observer: str = "percentile") -> Range:
    """The range that the observer of that name chooses for a tensor of a range table."""
    return open_observer(observer).from_stats(stats).range()
