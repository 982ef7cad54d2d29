from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from edgeseg.engines import open_engine
from edgeseg.errors import EdgeSegError, FormatError, SizeError, UnknownNameError
from edgeseg.recipe import Recipe, bundled_ranges, bundled_recipes, recipe_from_file
from edgeseg.spec import Precision
from edgeseg.weights import BUNDLED


@pytest.mark.parametrize("name", bundled_recipes())
def test_a_bundled_recipe_says_what_its_name_says(name: str) -> None:
    recipe = recipe_from_file(Path(str(resources.files("edgeseg.recipes") / f"{name}.toml")))
    assert recipe.model in BUNDLED
    assert recipe.engine is not None
    assert recipe.precision in open_engine(recipe.engine).precisions
    assert name == f"{recipe.model}.{recipe.engine}.{recipe.precision}"


def test_a_recipe_is_read(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('model = "m"\nengine = "openvino"\nprecision = "bf16"\nsize = "512x256"\n')
    assert recipe_from_file(path) == Recipe("m", "openvino", Precision.BF16, (512, 256))
    path.write_text('model = "m"\n')
    assert recipe_from_file(path) == Recipe("m")


@pytest.mark.parametrize(
    ("text", "error", "message", "hint"),
    [
        ("model =", FormatError, "is not TOML", "engines/"),
        ('engine = "openvino"', FormatError, "names no model", "model ="),
        ('model = "m"\nmodle = "n"', UnknownNameError, "unknown key in r.toml: modle", "did you mean model?"),
        ('model = "m"\nprecision = "int9"', UnknownNameError, "unknown precision: int9", "did you mean int8?"),
        ('model = "m"\nsize = "big"', SizeError, "not a size: big", "WIDTHxHEIGHT"),
    ],
)
def test_a_wrong_recipe_is_refused(
    tmp_path: Path, text: str, error: type[EdgeSegError], message: str, hint: str
) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(error) as caught:
        recipe_from_file(path)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_there_is_no_table_for_a_model_that_is_not_bundled() -> None:
    assert bundled_ranges("nothing") is None
