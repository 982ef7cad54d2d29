"""Each class of error has a stable code of its own."""

from __future__ import annotations

from edgeseg import errors
from edgeseg.errors import EdgeSegError, FileProblem


def test_each_class_has_a_code_of_its_own_that_its_tree_names() -> None:
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, EdgeSegError)]
    codes = [each("message", hint="hint").code for each in classes]
    assert len(set(codes)) == len(classes) == 9
    named = [code for code in codes if code in (errors.__doc__ or "")]
    assert len(named) == 8  # every one but the base


def test_a_narrower_code_can_be_given() -> None:
    assert FileProblem("message", hint="hint", code="ES-FILE-EXISTS").code == "ES-FILE-EXISTS"
