"""torch module to ONNX. The modules here import torch; `check_exporter` says whether it is there."""

from __future__ import annotations

import importlib

from edgeseg.errors import UnavailableError

NEEDED = ("torch", "onnxscript")


def check_exporter() -> None:
    """UnavailableError, with what to install, unless weights can be exported here."""
    for name in NEEDED:
        try:
            importlib.import_module(name)
        except ImportError as problem:
            message = f"weights are converted with {name}, which is not installed"
            hint = "pip install 'edgeseg[export]', or convert the ONNX from a machine that has it"
            raise UnavailableError(message, hint=hint) from problem
