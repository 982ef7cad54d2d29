"""How a model is served: the options of `edgeseg export --to triton`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ServeOptions:
    """How a model is served.

    backend: one of `edgeseg.engines.triton.config.BACKENDS`; "" for that of the model's engine, or ONNX Runtime. batch:
    the most images at once; None for the usual number of the back end. instances: how many batches are computed at a
    time. name: of the model on the server; "" for that of the file. dali: also write an ensemble that takes JPEG files.
    """

    backend: str = ""
    batch: int | None = None
    instances: int = 1
    name: str = ""
    dali: bool = False
