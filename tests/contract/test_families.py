"""What every family on the shelf, in every variant, keeps to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import edgeseg.models  # noqa: E402
from edgeseg.errors import MismatchError, SizeError, UnknownNameError  # noqa: E402
from edgeseg.models import FAMILIES, open_family  # noqa: E402
from edgeseg.spec import InputSpec, LabelSet, ModelSpec  # noqa: E402

SMALL = 20e6  # parameters; larger variants take seconds to draw and are left to the slow run
LABELS = LabelSet(names=tuple("abcde"), palette=tuple((n, n, n) for n in range(5)))


def parameters_of(family: str, variant: str) -> int:
    with torch.device("meta"):
        network = open_family(family).module(5, **open_family(family).variants[variant])
    return sum(parameter.numel() for parameter in network.parameters())


def every_variant() -> list[Any]:
    names = [(family, variant) for family in FAMILIES for variant in open_family(family).variants]
    return [
        pytest.param(
            *name,
            marks=[pytest.mark.slow, pytest.mark.nightly] if parameters_of(*name) > SMALL else [],
            id="-".join(name),
        )
        for name in names
    ]


def spec_of(family: str, variant: str, width: int = 0, height: int = 0) -> ModelSpec:
    rule = open_family(family).size_rule
    size = InputSpec(width=width or rule.floor_minimum, height=height or rule.floor_minimum)
    return ModelSpec(name=f"{family}-{variant}", input=size, labels=LABELS, family=family, variant=variant)


def first_variant(family: str) -> str:
    return next(iter(open_family(family).variants))


def test_table_is_what_lies_on_disk() -> None:
    folder = Path(edgeseg.models.__file__).parent
    on_disk = {path.stem for path in folder.glob("*.py") if re.search(r"^FAMILY = ", path.read_text("utf-8"), re.M)}
    assert set(FAMILIES) == on_disk
    assert all(module == f"edgeseg.models.{name}" for name, module in FAMILIES.items())
    assert all(open_family(name).name == name for name in FAMILIES)


def test_unknown_family_names_its_neighbour() -> None:
    with pytest.raises(UnknownNameError) as caught:
        open_family("bisenetv3")
    assert str(caught.value) == "unknown model family: bisenetv3 (did you mean bisenetv2?)"


@pytest.mark.parametrize(("family", "variant"), every_variant())
def test_logits_have_one_channel_a_class_at_the_stated_stride(family: str, variant: str) -> None:
    kin = open_family(family)
    side, step = kin.size_rule.floor_minimum, kin.size_rule.multiple
    for width, height in [(side, side), (side + 2 * step, side + step)]:
        network = kin.build(spec_of(family, variant, width, height))
        assert not network.training
        with torch.inference_mode():
            logits = network(torch.randn(2, 3, height, width))
        assert logits.shape == (2, len(LABELS), height // kin.stride, width // kin.stride)
        assert logits.isfinite().all()


@pytest.mark.parametrize(("family", "variant"), every_variant())
def test_training_gives_a_list_whose_first_is_the_main_one(family: str, variant: str) -> None:
    kin = open_family(family)
    side = kin.size_rule.floor_minimum + kin.size_rule.multiple
    network = kin.build(spec_of(family, variant, side, side), training=True)
    outputs = network(torch.randn(2, 3, side, side))
    assert isinstance(outputs, list)
    assert outputs[0].shape == (2, len(LABELS), side // kin.stride, side // kin.stride)
    sum(logits.mean() for logits in outputs).backward()
    assert [name for name, weight in network.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize(("family", "variant"), every_variant())
def test_weights_come_back(family: str, variant: str) -> None:
    kin, spec = open_family(family), spec_of(family, variant)
    first = kin.build(spec)
    second = kin.load(spec, first.state_dict())
    picture = torch.randn(1, 3, spec.input.height, spec.input.width)
    with torch.inference_mode():
        assert torch.equal(first(picture), second(picture))


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_of_another_family_are_refused(family: str) -> None:
    own = spec_of(family, first_variant(family))
    for other in set(FAMILIES) - {family}:
        state = open_family(other).build(spec_of(other, first_variant(other))).state_dict()
        with pytest.raises(MismatchError, match=family):
            open_family(family).load(own, state)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_size_that_breaks_the_rule_names_the_nearest(family: str) -> None:
    kin = open_family(family)
    step, least = kin.size_rule.multiple, kin.size_rule.floor_minimum
    width, height = least + step, least + step + 1
    with pytest.raises(SizeError) as caught:
        kin.build(spec_of(family, first_variant(family), width, height))
    assert f"does not take {width}x{height}" in caught.value.message
    assert caught.value.hint == f"use {width}x{height - 1} or {width}x{height - 1 + step}"


@pytest.mark.parametrize("family", FAMILIES)
def test_unknown_variant_names_its_neighbour(family: str) -> None:
    known = first_variant(family)
    with pytest.raises(UnknownNameError) as caught:
        open_family(family).build(spec_of(family, known + "x"))
    assert f"{known}x" in caught.value.message
    assert caught.value.hint.startswith("did you mean ")
