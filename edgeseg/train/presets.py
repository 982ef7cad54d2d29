"""What a training takes unless it is told otherwise: a table of families, over the defaults of `TrainConfig`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# AdamW learns from random weights at rates far above those of the papers' fine-tuning; a transformer bears less.
PRESETS: dict[str, Mapping[str, Any]] = {
    "bisenetv2": {"learning_rate": 1.5e-3, "balance": 0.4},
    "segformer": {"learning_rate": 6e-4, "balance": 0.4},
}


def preset_of(family: str) -> Mapping[str, Any]:
    """The fields of `TrainConfig` in which the family differs."""
    return PRESETS.get(family, {})
