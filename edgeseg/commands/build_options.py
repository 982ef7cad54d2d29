"""The options of an engine's builder, which `build` and `convert` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.engines.options import BuildOptions
from edgeseg.errors import SizeError

PANEL = "TensorRT"

Batch = Annotated[
    str | None,
    typer.Option(
        "--batch",
        metavar="MIN:OPT:MAX",
        help="Images per batch, or one number.",
        show_default="1",
        rich_help_panel=PANEL,
    ),
]
Workspace = Annotated[
    int | None,
    typer.Option(
        "--workspace",
        metavar="MIB",
        min=1,
        help="Device memory for scratch.",
        show_default="all that is free",
        rich_help_panel=PANEL,
    ),
]
Level = Annotated[
    int | None,
    typer.Option(
        "--level",
        metavar="N",
        min=0,
        max=5,
        help="Optimisation level of the builder.",
        show_default="3",
        rich_help_panel=PANEL,
    ),
]
Dla = Annotated[
    int | None,
    typer.Option(
        "--dla",
        metavar="CORE",
        min=0,
        help="Run on this DLA core; the GPU runs the layers that it cannot.",
        rich_help_panel=PANEL,
    ),
]
TimingCache = Annotated[
    Path | None,
    typer.Option(
        "--timing-cache",
        metavar="DIR",
        help="Folder of kernel timings.",
        show_default="in the user's cache",
        rich_help_panel=PANEL,
    ),
]
Portable = Annotated[
    bool, typer.Option("--portable", help="The engine also loads in later TensorRT versions.", rich_help_panel=PANEL)
]
AnyGpu = Annotated[
    bool, typer.Option("--any-gpu", help="The engine runs on every GPU from Ampere on.", rich_help_panel=PANEL)
]
Gpu = Annotated[
    list[str] | None,
    typer.Option(
        "--gpu",
        metavar="8.6",
        help="TensorRT for RTX: build for this compute capability; repeatable.",
        show_default="that of this machine",
        rich_help_panel=PANEL,
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
