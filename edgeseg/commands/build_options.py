"""The options of an engine's builder, which `build` and `convert` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from edgeseg.commands.options import option
from edgeseg.engines.options import BuildOptions
from edgeseg.errors import SizeError

PANEL = "TensorRT"

Batch = Annotated[str | None, option("--batch MIN:OPT:MAX", "Images per batch, or one number.", PANEL, "1")]
Workspace = Annotated[
    int | None, option("--workspace MIB", "Device memory for scratch.", PANEL, "all that is free", min=1)
]
Level = Annotated[int | None, option("--level N", "Optimisation level of the builder.", PANEL, "3", min=0, max=5)]
Dla = Annotated[
    int | None, option("--dla CORE", "Run on this DLA core; the GPU runs the layers that it cannot.", PANEL, min=0)
]
TimingCache = Annotated[
    Path | None, option("--timing-cache DIR", "Folder of kernel timings.", PANEL, "in the user's cache")
]
Portable = Annotated[bool, option("--portable", "The engine also loads in later TensorRT versions.", PANEL)]
AnyGpu = Annotated[bool, option("--any-gpu", "The engine runs on every GPU from Ampere on.", PANEL)]
Gpu = Annotated[
    list[str] | None,
    option(
        "--gpu 8.6", "TensorRT for RTX: build for this compute capability; repeatable.", PANEL, "that of this machine"
    ),
]


def build_options(
    batch: str | None, workspace: int | None, level: int | None, device: str, dla: int | None,
    timing_cache: Path | None, portable: bool, any_gpu: bool, gpu: list[str] | None,
) -> BuildOptions:  # fmt: skip
    """The options as a value. SizeError for a batch that cannot be read."""
    return BuildOptions(
        batch=batch_from_text(batch) if batch else (1, 1, 1),
        workspace_mib=workspace,
        level=level,
        device=device,
        dla=dla,
        timing_cache=timing_cache,
        portable=portable,
        any_gpu=any_gpu,
        gpus=tuple(gpu or ()),
    )


def batch_from_text(text: str) -> tuple[int, int, int]:
    """(fewest, usual, most) of "1:2:4", or of "4" for exactly four."""
    parts = text.split(":")
    if not all(part.isdigit() for part in parts) or len(parts) not in (1, 3):
        hint = "write the fewest, usual and most images, for example 1:1:4"
        raise SizeError(f"not a batch size: {text}", hint=hint, code="ES-SIZE-BATCH")
    low, usual, most = (int(part) for part in (parts * 3 if len(parts) == 1 else parts))
    return low, usual, most
