"""A recipe: a TOML that describes one deployable engine.

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
from edgeseg.spec import Precision, precision_from_text, size_from_text


@dataclass(frozen=True)
class Recipe:
    """The arguments of `edgeseg convert RECIPE.toml`. Missing fields have the defaults of `edgeseg convert MODEL`."""

    model: str
    engine: str | None = None
    precision: Precision | None = None
    size: tuple[int, int] | None = None


def recipe_from_file(path: str | Path) -> Recipe:
    """Read a recipe. FormatError where it is not a valid TOML of that form, UnknownNameError for an unknown key or
    precision.
    """
    path = Path(path)
    data = toml_from_file(path, hint="see the recipes in engines/")
    known = {field.name for field in fields(Recipe)}
    for key in data:
        if key not in known:
            raise UnknownNameError.among(f"key in {path.name}", key, known)
    if not isinstance(data.get("model"), str):
        raise FormatError(f"{path} has no model", hint='add a line such as model = "bisenetv2-street"')
    if not isinstance(data.get("engine", ""), str):
        raise FormatError(f"the engine in {path} is not a name", hint='write a line such as engine = "openvino"')
    precision = precision_from_text(str(data["precision"])) if "precision" in data else None
    size = size_from_text(str(data["size"])) if "size" in data else None
    return Recipe(data["model"], data.get("engine"), precision, size)


def bundled_ranges(model: str | Path) -> Path | None:
    """The range table that comes with edgeseg for the bundled model of that name; None where there is none."""
    entries = resources.files("edgeseg.ranges").iterdir()
    return next((Path(str(entry)) for entry in entries if entry.name == f"{model}.json"), None)
