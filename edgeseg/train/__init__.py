"""Training: recipe, losses, augmentation, the loop. The modules here import torch; `check_trainer` looks for it."""

from __future__ import annotations

import importlib

from edgeseg.errors import UnavailableError


def check_trainer() -> None:
    """UnavailableError, with what to install, unless networks can be trained here."""
    try:
        importlib.import_module("torch")
    except ImportError as problem:
        message = "networks are trained with torch, which is not installed"
        raise UnavailableError(message, hint="pip install 'edgeseg[export]'") from problem
