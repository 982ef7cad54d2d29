"""What the documents say is there, and what is there is in the documents."""

from __future__ import annotations

import ast
import re
import shlex
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

import edgeseg
from edgeseg.cli import COMMANDS, LazyGroup
from edgeseg.recipe import bundled_ranges
from edgeseg.weights import BUNDLED, weights_path

ROOT = Path(edgeseg.__file__).parents[1]
README = ROOT / "README.md"
MAX_WEIGHTS_BYTES = 40 << 20

pytestmark = pytest.mark.skipif(not README.exists(), reason="an installed package has no README beside it")


def blocks(language: str, page: Path = README) -> list[str]:
    """The code blocks of a page."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def command_lines() -> list[str]:
    """Every `edgeseg ...` that README, docs/, calib/README.md and the models' cards tell to type, without comments."""
    pages = (README, ROOT / "calib" / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    found = [line for page in pages for line in lines_of(page)]
    for card in sorted((ROOT / "edgeseg" / "weights").glob("*.md")):
        found += re.findall(r"^    (edgeseg .*)$", card.read_text(encoding="utf-8").replace("\\\n", ""), re.M)
    return list(dict.fromkeys(found))


def lines_of(page: Path) -> list[str]:
    """The commands in the code blocks and between the backticks of a page."""
    lines = [line.partition("#")[0].strip() for block in blocks("sh", page) for line in block.splitlines()]
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines += re.findall(r"`(edgeseg [^`]+)`", text)
    lines += re.findall(r"edgeseg \w+ MODEL[^\n]*", page.read_text(encoding="utf-8"))
    return [line for line in lines if line.startswith("edgeseg ")]


def command_of(name: str) -> Any:
    return LazyGroup().get_command(None, name)


def test_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 40


def test_readme_has_commands_to_check() -> None:
    assert len(command_lines()) >= 5


@pytest.mark.parametrize("line", command_lines())
def test_every_command_line_in_the_documents_can_be_typed(line: str) -> None:
    _, name, *words = shlex.split(line)
    assert name in COMMANDS
    known = {option for parameter in command_of(name).params for option in parameter.opts}
    assert [word for word in words if word.startswith("-") and word not in known] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_readme(command: str) -> None:
    text = README.read_text(encoding="utf-8")
    assert f"edgeseg {command}" in text or f"`{command}`" in text


def test_the_python_in_the_readme_uses_public_names() -> None:
    (block,) = blocks("python")
    tree = ast.parse(block)
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "edgeseg"
    }
    assert used
    assert used <= set(edgeseg.__all__)
    from edgeseg.predictions import SemanticMask
    from edgeseg.segmenter import Segmenter

    methods = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("mask", "segmenter")
    }
    fields = {*dir(SemanticMask), *SemanticMask.__dataclass_fields__, *dir(Segmenter)}
    assert methods
    assert methods <= fields


@pytest.mark.parametrize("name", BUNDLED)
def test_every_bundled_model_has_weights_a_card_a_licence_and_ranges(name: str) -> None:
    weights = weights_path(name)
    card, licence = weights.with_suffix(".md"), weights.with_suffix(".LICENSE")
    missing = [path.name for path in (weights, card, licence) if not path.is_file()]
    assert missing == []
    assert bundled_ranges(name) is not None
    from edgeseg.weights.file import spec_from_weights

    spec = spec_from_weights(weights)
    assert spec.name == name
    assert spec.licence in card.read_text(encoding="utf-8")
    assert spec.licence in README.read_text(encoding="utf-8")


def test_the_table_lists_every_weights_file() -> None:
    folder = Path(str(resources.files("edgeseg.weights")))
    assert {path.stem for path in folder.glob("*.safetensors")} == set(BUNDLED)


def test_the_weights_are_small() -> None:
    folder = Path(str(resources.files("edgeseg.weights")))
    assert sum(path.stat().st_size for path in folder.glob("*.safetensors")) <= MAX_WEIGHTS_BYTES


def test_what_the_house_page_names_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = [path for path in re.findall(r"`((?:edgeseg|tests)/[\w/.]+)`", text) if "<" not in path]
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
