"""Activation ranges from calibration images, and INT8 ONNX from ranges. OBSERVERS lists how a range is chosen."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from edgeseg.errors import UnknownNameError

if TYPE_CHECKING:
    from edgeseg.calib.observers import Observer
    from edgeseg.calib.range import Range, TensorStats

OBSERVERS = {  # name -> module:class
    "average": "edgeseg.calib.observers:MovingAverage",
    "entropy": "edgeseg.calib.observers:Entropy",
    "minmax": "edgeseg.calib.observers:MinMax",
    "mse": "edgeseg.calib.observers:MeanSquaredError",
    "percentile": "edgeseg.calib.observers:Percentile",
}


def open_observer(name: str) -> type[Observer]:
    """The observer class `name`. UnknownNameError, with the nearest name, where no observer has that name."""
    if name not in OBSERVERS:
        raise UnknownNameError.among("observer", name, OBSERVERS)
    module, _, class_name = OBSERVERS[name].partition(":")
    observer: type[Observer] = getattr(importlib.import_module(module), class_name)
    return observer


def range_from_stats(stats: TensorStats, observer: str = "percentile") -> Range:
    """The range that the observer of that name chooses for a row of a range table."""
    return open_observer(observer).from_stats(stats).range()
