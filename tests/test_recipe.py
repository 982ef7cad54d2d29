from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from edgeseg.engines import open_engine
from edgeseg.errors import EdgeSegError, FormatError, SizeError, UnknownNameError
from edgeseg.recipe import Recipe, bundled_ranges, recipe_from_file
from edgeseg.spec import Precision
from edgeseg.weights import BUNDLED

RECIPES = [Path(str(entry)) for entry in resources.files("edgeseg.recipes").iterdir() if entry.name.endswith(".toml")]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_bundled_recipe_matches_its_name(path: Path) -> None:
    recipe = recipe_from_file(path)
    assert recipe.model in BUNDLED
    assert recipe.engine is not None
    assert recipe.precision in open_engine(recipe.engine).precisions
    assert path.stem == f"{recipe.model}.{recipe.engine}.{recipe.precision}"


def test_a_recipe_is_read(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('model = "m"\nengine = "openvino"\nprecision = "BF16"\nsize = "512x256"\n')
    assert recipe_from_file(path) == Recipe("m", "openvino", Precision.BF16, (512, 256))
    path.write_text('model = "m"\n')
    assert recipe_from_file(path) == Recipe("m")


@pytest.mark.parametrize(
    ("text", "error", "value"),
    [
        ("model =", FormatError, "r.toml"),
        ('engine = "openvino"', FormatError, "model"),
        ('model = "m"\nmodle = "n"', UnknownNameError, "modle"),
        ('model = "m"\nprecision = "int9"', UnknownNameError, "int9"),
        ('model = "m"\nsize = "big"', SizeError, "big"),
    ],
)
def test_a_wrong_recipe_is_refused(tmp_path: Path, text: str, error: type[EdgeSegError], value: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(error, match=value):
        recipe_from_file(path)


def test_there_is_no_table_for_a_model_that_is_not_bundled() -> None:
    assert bundled_ranges("nothing") is None
    assert bundled_ranges("../calib/icnet-camvid") is None
