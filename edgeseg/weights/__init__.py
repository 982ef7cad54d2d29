"""Bundled weights: fp16 safetensors, each with a card (`.md`) and its licence (`.LICENSE`). This table lists them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgeseg.errors import UnknownNameError
from edgeseg.files import existing_file, exists, is_folder

BUNDLED = ("bisenetv2-street", "bisenetv2-camvid", "bisenetv1-camvid", "icnet-camvid", "segformer-camvid")
MAIN_FILES = ("model.safetensors", "pytorch_model.bin")  # of a folder that Hugging Face's save_pretrained wrote
WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


def is_model(model: str | Path) -> bool:
    """Whether `model` may be a bundled name, a weights file or a Hugging Face folder, and is not an engine."""
    return Path(model).suffix in ("", *WEIGHTS_SUFFIXES) or is_folder(model)


def weights_path(model: str | Path) -> Path:
    """The weights file of a bundled name or of a Hugging Face folder, or the file `model`.

    UnknownNameError, with the nearest name, for an unknown word; FileProblem for a path that does not exist.
    """
    name = str(model)
    if name in BUNDLED:
        return Path(__file__).with_name(f"{name}.safetensors")
    looks_like_path = Path(name).suffix or "/" in name or "\\" in name or exists(name)
    if not looks_like_path:
        raise UnknownNameError.among("model", name, BUNDLED)
    main = [Path(model, file) for file in MAIN_FILES if exists(Path(model, file))]
    return existing_file(main[0] if main else model)


def bundled_figures() -> dict[str, dict[str, Any]]:
    """The figures of each bundled model: parameters, macs, data, miou, iou. Made by benchmarks/weights.py."""
    figures: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("figures.json").read_text("utf-8"))
    return figures
