"""Export torch modules to ONNX. The modules of this package import torch; `check_exporter` checks that it is there."""

from __future__ import annotations

import importlib

from edgeseg.errors import UnavailableError

NEEDED = ("torch", "onnxscript")


def check_exporter() -> None:
    """UnavailableError, with the package to install, if weights cannot be exported on this machine."""
    for name in NEEDED:
        try:
            importlib.import_module(name)
        except ImportError as problem:
            message = f"the export of weights needs {name}, which is not installed"
            hint = "pip install 'edgeseg[export]', or convert an ONNX that another machine exported"
            raise UnavailableError(message, hint=hint) from problem
