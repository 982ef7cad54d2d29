"""Weights and pictures that a rule draws from names and shapes alone, so that two codebases can be held together."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

SAMPLES = 64


def lines_from_state(state: dict[str, torch.Tensor]) -> list[str]:
    """`key shape dtype`, one line a tensor; the shape as 64x3x7x7, empty for a scalar written as "-"."""
    return [
        f"{key} {'x'.join(map(str, value.shape)) or '-'} {str(value.dtype).removeprefix('torch.')}"
        for key, value in state.items()
    ]


def golden_state(lines: list[str]) -> dict[str, torch.Tensor]:
    """Weights for these lines: small kernels, norms near the identity, positive variances, counters of zero."""
    import torch

    state = {}
    for line in filter(None, lines):
        key, shape, dtype = line.split()
        sides = () if shape == "-" else tuple(int(side) for side in shape.split("x"))
        state[key] = torch.from_numpy(golden_array(key, sides)).to(getattr(torch, dtype))
    return state


def golden_array(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """float32 values for a tensor of this name: kernels have variance 2 / fan-in."""
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.float32)
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    values = rng.standard_normal(shape).astype(np.float32)
    if key.endswith("running_var"):
        return 0.5 + np.abs(values)
    if len(shape) > 1:
        return values * np.float32(np.sqrt(2 / np.prod(shape[1:])))
    return np.asarray(1 + 0.1 * values if key.endswith("weight") else 0.1 * values)


def golden_image(height: int, width: int) -> torch.Tensor:
    """(1, 3, height, width) float, as a normalised picture."""
    import torch

    rng = np.random.default_rng(height * 10_000 + width)
    coarse = torch.from_numpy(rng.standard_normal((1, 3, height // 16, width // 16)).astype(np.float32))
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)


def sampled(logits: torch.Tensor) -> list[float]:
    """`SAMPLES` values at places that are spread evenly over the flattened logits (1, C, h, w)."""
    flat = logits.flatten()
    return [round(value, 6) for value in flat[[i * (len(flat) - 1) // (SAMPLES - 1) for i in range(SAMPLES)]].tolist()]


def read_lines(path: Path) -> list[str]:
    """The lines of a golden key list."""
    return path.read_text(encoding="utf-8").splitlines()
