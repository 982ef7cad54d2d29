"""Training: recipe, losses, augmentation, the loop. These modules import torch; `check_trainer` tests for it."""

from __future__ import annotations

import importlib

from edgeseg.errors import UnavailableError


def check_trainer() -> None:
    """UnavailableError where torch is not installed."""
    try:
        importlib.import_module("torch")
    except ImportError as problem:
        message = "training needs torch, which is not installed"
        raise UnavailableError(message, hint="pip install 'edgeseg[export]'") from problem
