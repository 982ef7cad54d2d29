"""Bundled weights: fp16 safetensors, each with a card (`.md`) and its licence (`.LICENSE`). This table lists them."""

from __future__ import annotations

from pathlib import Path

from edgeseg.errors import UnknownNameError
from edgeseg.files import existing_file

BUNDLED = ("bisenetv2-street", "bisenetv2-camvid")


def weights_path(model: str | Path) -> Path:
    """The weights file of a bundled name, or the file `model`.

    UnknownNameError, with the nearest name, for a word that is neither; FileProblem for a path where nothing is.
    """
    name = str(model)
    if name in BUNDLED:
        return Path(__file__).with_name(f"{name}.safetensors")
    looks_like_path = Path(name).suffix or "/" in name or "\\" in name or Path(name).exists()
    if not looks_like_path:
        raise UnknownNameError.among("model", name, BUNDLED)
    return existing_file(model)
