"""The dozen CUDA calls that running an engine takes, behind one class, on whichever library is installed."""

from __future__ import annotations

import importlib
import re

from edgeseg.engines.tensorrt.cuda.cuda import Buffer, Cuda, CudaError, Graph, Stream
from edgeseg.errors import UnavailableError, UnknownNameError

__all__ = ["CUDA_LAYERS", "Buffer", "Cuda", "CudaError", "Graph", "Stream", "device_index", "open_cuda"]

CUDA_LAYERS = {  # by preference; each module ends in `open_layer(index)`
    "pycuda": "edgeseg.engines.tensorrt.cuda.pycuda_layer",
    "cuda-python": "edgeseg.engines.tensorrt.cuda.cuda_python_layer",
}


def open_cuda(device: str = "cuda:0", name: str | None = None) -> Cuda:
    """The GPU `device`, through the layer `name` or else the first that works here.

    UnavailableError where no layer is installed, where there is no driver, and where there is no such GPU.
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
        except UnavailableError as found:
            problem = problem or found
    raise problem or UnavailableError(
        f"{name or 'a CUDA layer (pycuda or cuda-python)'} is not installed",
        hint=f"pip install {name or 'cuda-python'}" + (", or pip install pycuda where nvcc is" if not name else ""),
    )


def device_index(device: str) -> int:
    """The N of "cuda:N"; "cuda" alone is the first GPU."""
    match = re.fullmatch(r"cuda(?::(\d+))?", device)
    if not match:
        raise UnavailableError(f"{device} is not a GPU", hint="name one as in --device cuda:0")
    return int(match[1] or 0)
