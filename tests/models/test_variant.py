"""Variants as text."""

from __future__ import annotations

import pytest

from edgeseg.errors import FormatError, UnknownNameError
from edgeseg.models.variant import arguments_from_text, text_from_arguments

VARIANTS = {"base": {"head": 256, "upsample": "bilinear", "bias": False, "depths": (2, 2)}, "light": {"head": 64}}


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("base", {}),
        ("base?head=64&bias=true", {"head": 64, "bias": True}),
        ("base?depths=3,4,6", {"depths": (3, 4, 6)}),
    ],
)
def test_text_and_arguments_are_the_same(text: str, changes: dict[str, object]) -> None:
    arguments = arguments_from_text(text, VARIANTS, family="net")
    assert arguments == {**VARIANTS["base"], **changes}
    assert text_from_arguments("base", arguments, VARIANTS) == text


def test_mistakes_are_named() -> None:
    with pytest.raises(UnknownNameError, match=r"bsae .*base"):
        arguments_from_text("bsae", VARIANTS, family="net")
    with pytest.raises(UnknownNameError, match=r"haed .*head"):
        arguments_from_text("base?haed=3", VARIANTS, family="net")
    for text in ("head=wide", "bias=yes", "depths=2,x"):
        with pytest.raises(FormatError, match=text):
            arguments_from_text(f"base?{text}", VARIANTS, family="net")


@pytest.mark.parametrize(
    ("family", "variant"),
    [
        ("bisenetv2", "base?width=nan"),
        ("bisenetv2", "base?head=-3"),
        ("bisenetv1", "resnet18?spatial=1"),
        ("icnet", "resnet50?depth=19"),
        ("icnet", "resnet50?divisor=0"),
        ("segformer", "b0?depths=1"),
    ],
)
def test_numbers_that_no_network_has_are_refused(family: str, variant: str) -> None:
    pytest.importorskip("torch")
    from edgeseg.labels import unnamed_labels
    from edgeseg.models import open_family
    from edgeseg.spec import InputSpec, ModelSpec

    spec = ModelSpec("net", InputSpec(64, 64), unnamed_labels(3), family=family, variant=variant)
    with pytest.raises(FormatError, match=family):
        open_family(family).load(spec, {})
