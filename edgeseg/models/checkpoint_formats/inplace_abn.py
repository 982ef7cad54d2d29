"""InPlaceABN (mapillary/inplace_abn), which two codes have in place of batch norm: |weight| + epsilon is its scale."""

from __future__ import annotations

import torch
from torch import Tensor

from edgeseg.models.checkpoint_formats.checkpoint_format import State

EPS = 1e-5  # src/inplace_abn_cpu.cpp


def with_batch_norms(state: State, *, but: str = "") -> dict[str, Tensor]:
    """`state`, in which the norms are batch norms that compute what InPlaceABN does.

    Its first versions count no batches. but: prefix of norms that are batch norms already.
    """
    own = dict(state)
    for key in state:
        norm = key.removesuffix("running_var")
        if norm != key and f"{norm}weight" in state and not (but and key.startswith(but)):
            own[f"{norm}weight"] = state[f"{norm}weight"].abs() + EPS
            own.setdefault(f"{norm}num_batches_tracked", torch.tensor(0))
    return own
