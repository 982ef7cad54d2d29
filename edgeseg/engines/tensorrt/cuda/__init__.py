"""The CUDA calls that run an engine, behind one class, through pycuda or cuda-python."""

from __future__ import annotations

import importlib
import re

from edgeseg.engines.devices import MISSING
from edgeseg.engines.tensorrt.cuda.cuda import Buffer, Cuda, CudaError, Graph, Stream
from edgeseg.errors import UnavailableError, UnknownNameError

__all__ = ["CUDA_LAYERS", "Buffer", "Cuda", "CudaError", "Graph", "Stream", "device_index", "open_cuda"]

CUDA_LAYERS = {  # by preference; each module ends in `open_layer(index)`
    "pycuda": "edgeseg.engines.tensorrt.cuda.pycuda_layer",
    "cuda-python": "edgeseg.engines.tensorrt.cuda.cuda_python_layer",
}


def open_cuda(device: str = "cuda:0", name: str | None = None) -> Cuda:
    """The GPU `device`, through the layer `name` or by default the first that works here.

    UnavailableError without a layer, without a driver, or without that GPU.
    """
    index = device_index(device)
    if name is not None and name not in CUDA_LAYERS:
        raise UnknownNameError.among("CUDA layer", name, CUDA_LAYERS)
    problem: UnavailableError | None = None
    for layer in [name] if name else CUDA_LAYERS:
        module = importlib.import_module(CUDA_LAYERS[layer])
        try:
            return module.open_layer(index)  # type: ignore[no-any-return]
        except ModuleNotFoundError:
            continue
        except UnavailableError as layer_problem:
            problem = problem or layer_problem
    message = f"{name} is not installed" if name else "neither pycuda nor cuda-python is installed"
    hint = f"pip install {name or 'cuda-python'}"
    raise problem or UnavailableError(message, hint=hint, code="ES-MISSING-CUDA")


def device_index(device: str) -> int:
    """The N of "cuda:N"; "cuda" alone is the first GPU."""
    match = re.fullmatch(r"cuda(?::(\d+))?", device)
    if not match:
        raise UnavailableError(f"{device} is not a CUDA device", hint="use --device cuda:0", code=MISSING)
    return int(match[1] or 0)
