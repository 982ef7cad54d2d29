"""Lets a torchvision that was built for CUDA be imported with a torch for the CPU; import it before torchvision.

The binary part of such a torchvision does not load, and its import then fails where it describes operators that nobody
defined. We define those here, without a body: no peer of ours calls them.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

OPERATORS = ("nms", "qnms")
ARGUMENTS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def loads() -> bool:
    """Whether the binary part fits this torch."""
    spec = importlib.util.find_spec("torchvision")
    for path in Path(str(spec and spec.origin)).parent.glob("_C*"):
        try:
            torch.ops.load_library(path)
        except OSError:
            return False
    return True


if not loads():
    LIBRARY = torch.library.Library("torchvision", "DEF")  # an operator is gone when its library is
    for name in OPERATORS:
        LIBRARY.define(name + ARGUMENTS)
