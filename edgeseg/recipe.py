"""A deployable engine as a TOML that a person can read: what is converted, for what, from which ranges.

model = "bisenetv2-street"
engine = "openvino"
precision = "int8"
size = "1024x512"
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path

from edgeseg.errors import FormatError, UnknownNameError
from edgeseg.files import toml_from_file
from edgeseg.spec import Precision, size_from_text


@dataclass(frozen=True)
class Recipe:
    """What `edgeseg convert RECIPE.toml` does. Fields that are left out are chosen as for a model's name."""

    model: str
    engine: str | None = None
    precision: Precision | None = None
    size: tuple[int, int] | None = None


def recipe_from_file(path: str | Path) -> Recipe:
    """Read a TOML. FormatError for text that is none, UnknownNameError for a key that is none."""
    path = Path(path)
    data = toml_from_file(path, hint="see the recipes in engines/")
    known = {field.name for field in fields(Recipe)}
    for key in data:
        if key not in known:
            raise UnknownNameError.among(f"key in {path.name}", key, known)
    if not isinstance(data.get("model"), str):
        raise FormatError(f"{path} names no model", hint='add a line such as model = "bisenetv2-street"')
    if not isinstance(data.get("engine", ""), str):
        raise FormatError(f"{path} names no engine", hint='write a line such as engine = "openvino"')
    try:
        precision = Precision(data["precision"]) if "precision" in data else None
    except ValueError:
        raise UnknownNameError.among("precision", str(data["precision"]), [str(p) for p in Precision]) from None
    size = size_from_text(str(data["size"])) if "size" in data else None
    return Recipe(data["model"], data.get("engine"), precision, size)


def bundled_recipes() -> list[str]:
    """The names of the recipes that come with edgeseg, without `.toml`."""
    folder = resources.files("edgeseg.recipes")
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def bundled_ranges(model: str) -> Path | None:
    """The committed range table of a bundled model, if there is one."""
    entry = resources.files("edgeseg.ranges") / f"{model}.json"
    path = Path(str(entry))
    return path if path.is_file() else None
