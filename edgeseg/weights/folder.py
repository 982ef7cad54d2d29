"""config.json and preprocessor_config.json, which Hugging Face's `save_pretrained` writes beside the tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeseg.artifact import strict_json
from edgeseg.errors import FormatError
from edgeseg.spec import InputSpec

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
DEFAULT_INPUT = InputSpec(512, 512)
PLACEHOLDER = re.compile(r"LABEL_\d+")


def config_from_folder(folder: Path, name: str = CONFIG) -> dict[str, Any]:
    """The JSON object in `name`; empty where there is no such file."""
    path = folder / name
    if not path.exists():
        return {}
    try:
        data = strict_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise FormatError(f"{path} is not JSON", hint="download the folder again") from problem
    if not isinstance(data, dict):
        raise FormatError(f"{path} is not a JSON object", hint="download the folder again")
    return data


def names_from_config(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The classes of id2label in the order of their ids; none for placeholders, LABEL_0 and so on."""
    labels = config.get("id2label") or {}
    try:
        names = tuple(str(labels[key]) for key in sorted(labels, key=int))
    except (LookupError, TypeError, ValueError) as problem:
        raise FormatError(
            "id2label of config.json has ids that are not numbers", hint="give --labels FILE"
        ) from problem
    return () if all(PLACEHOLDER.fullmatch(name) for name in names) else names


def input_from_folder(folder: Path) -> InputSpec | None:
    """The input that preprocessor_config.json states; None without that file.

    Its values follow x * rescale_factor (if do_rescale), then (x - image_mean) / image_std (if do_normalize).
    """
    preprocessor = config_from_folder(folder, PREPROCESSOR)
    if not preprocessor:
        return None
    width, height = size_from_preprocessor(preprocessor.get("size", 512))
    try:
        mean, std = normalisation_from_preprocessor(preprocessor)
    except (TypeError, ValueError, ZeroDivisionError) as problem:
        raise FormatError(f"{PREPROCESSOR} has invalid numbers: {problem}", hint="correct that file") from problem
    return InputSpec(width, height, mean=mean, std=std)


def normalisation_from_preprocessor(preprocessor: Mapping[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std for values in 0..1."""
    scale = float(preprocessor.get("rescale_factor", 1 / 255)) if preprocessor.get("do_rescale", True) else 1.0
    if not preprocessor.get("do_normalize", True):
        return (0.0, 0.0, 0.0), (1 / (255 * scale),) * 3
    mean, std = (
        preprocessor.get(key, default)
        for key, default in (("image_mean", DEFAULT_INPUT.mean), ("image_std", DEFAULT_INPUT.std))
    )
    return tuple(float(value) / (255 * scale) for value in mean), tuple(float(value) / (255 * scale) for value in std)


def size_from_preprocessor(size: Any) -> tuple[int, int]:
    """(width, height) of {"height": 512, "width": 512}, of {"shortest_edge": 512} or of one number: a square."""
    if isinstance(size, Mapping):
        side = size.get("shortest_edge")
        size = (size.get("height", side), size.get("width", side))
    sides = tuple(size) if isinstance(size, (list, tuple)) else (size, size)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise FormatError(f"{PREPROCESSOR} has the size {size}", hint="give --size WIDTHxHEIGHT and correct that file")
    return sides[1], sides[0]
