"""Accuracy metrics. Each file has one metric and ends in `METRIC`; the table METRICS lists them.

`label_agreement` of edgeseg.metrics.agreement compares two single masks.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from edgeseg.errors import UnknownNameError

if TYPE_CHECKING:
    from edgeseg.metrics.metric import Metric

METRICS = {
    "miou": "edgeseg.metrics.confusion",
    "boundary": "edgeseg.metrics.boundary",
    "boundary_iou": "edgeseg.metrics.boundary_iou",
    "agreement": "edgeseg.metrics.agreement",
    "flicker": "edgeseg.metrics.flicker",
}


def open_metric(name: str) -> type[Metric]:
    """The class of the metric `name`. UnknownNameError, with the nearest name, where there is none."""
    if name not in METRICS:
        raise UnknownNameError.among("metric", name, METRICS)
    metric: type[Metric] = importlib.import_module(METRICS[name]).METRIC
    return metric
