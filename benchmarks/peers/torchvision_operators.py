"""Lets a torchvision that was built for CUDA be imported with a torch for the CPU; import it before torchvision.

The binary part of such a torchvision does not load, and its import then fails where it describes an operator that
nobody defined. We define that one here, without a body: no peer of ours calls it.
"""

from __future__ import annotations

import torch

LIBRARY = torch.library.Library("torchvision", "DEF")  # an operator is gone when its library is
if not torch.cuda.is_available():
    LIBRARY.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
