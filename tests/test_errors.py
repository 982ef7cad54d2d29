"""Each class of error has a stable code of its own, and CODES lists every code that the source can give."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import edgeseg
from edgeseg import errors
from edgeseg.errors import CODES, EdgeSegError, FileProblem


def codes_in_source() -> set[str]:
    """Every string of the package that is a code, where errors.py lists them aside; a trailing * for an f-string."""
    found = set()
    for path in Path(edgeseg.__file__).parent.rglob("*.py"):
        if path.name == "errors.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= set(re.findall(r"^ES-[A-Z0-9-]*[A-Z0-9]$", node.value))
    return found


def error_classes() -> list[type[EdgeSegError]]:
    return [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, EdgeSegError)]


def test_each_class_has_a_code_of_its_own_that_its_tree_names() -> None:
    codes = [each("message", hint="hint").code for each in error_classes()]
    assert len(set(codes)) == len(codes) == 9
    named = [code for code in codes if code in (errors.__doc__ or "")]
    assert len(named) == 8  # every one but the base


def test_codes_lists_every_code_once_and_no_other() -> None:
    of_classes = {each.class_code for each in error_classes()}
    assert codes_in_source() | of_classes == set(CODES)
    assert all(meaning.endswith((".", ").")) and "\n" not in meaning for meaning in CODES.values())


def test_an_exception_of_other_code_gets_a_code_and_keeps_its_text() -> None:
    own, other = FileProblem("full", hint="free some"), OSError(28, "No space left on device")
    assert EdgeSegError.of(own, "ES-SINK") is own
    made = [(error.message, error.code) for error in (EdgeSegError.of(other, "ES-SINK"), EdgeSegError.of(other))]
    assert made == [(str(other), "ES-SINK"), (str(other), "ES-ERROR")]


def test_a_narrower_code_can_be_given() -> None:
    assert FileProblem("message", hint="hint", code="ES-FILE-EXISTS").code == "ES-FILE-EXISTS"
