"""What every family on the shelf, in every variant, keeps to."""

from __future__ import annotations

import functools
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from small_nets import smallest_variant  # noqa: E402

import edgeseg.models  # noqa: E402
from edgeseg.errors import MismatchError, SizeError, UnknownNameError  # noqa: E402
from edgeseg.models import FAMILIES, open_family  # noqa: E402
from edgeseg.models.count import count  # noqa: E402
from edgeseg.models.family import COUNTER, GROUPS  # noqa: E402
from edgeseg.models.variant import arguments_from_text  # noqa: E402
from edgeseg.spec import InputSpec, LabelSet, ModelSpec  # noqa: E402

COUNTS = 0.02  # of the reference implementation, relative
LABELS = LabelSet(names=tuple("abcde"), palette=tuple((n, n, n) for n in range(5)))


def every_variant() -> list[Any]:
    """The smallest variant of each family; the others repeat its code, and are left to the nightly run."""
    names = [(family, variant) for family in FAMILIES for variant in open_family(family).variants]
    return [
        pytest.param(
            family,
            variant,
            marks=[] if variant == smallest_variant(family) else [pytest.mark.slow, pytest.mark.nightly],
            id=f"{family}-{variant}",
        )
        for family, variant in names
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
        assert logits.std() > 0


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


@functools.cache
def empty_state(family: str) -> dict[str, Any]:
    """The weights of the smallest variant, without values."""
    with torch.device("meta"):
        state: dict[str, Any] = open_family(family).build(spec_of(family, smallest_variant(family))).state_dict()
    return state


@functools.cache
def tensors_of(family: str) -> set[tuple[str, Any]]:
    """Names and shapes that a file of weights must have."""
    return {(key, value.shape) for key, value in empty_state(family).items() if not key.endswith(COUNTER)}


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_of_another_family_are_refused(family: str) -> None:
    own = tensors_of(family)
    others = {other: tensors_of(other) for other in FAMILIES if other != family}
    assert [other for other, tensors in others.items() if tensors == own] == []
    nearest = max(others, key=lambda other: len(others[other] & own))
    with pytest.raises(MismatchError, match=family):
        open_family(family).load(spec_of(family, smallest_variant(family)), empty_state(nearest))


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


@pytest.mark.parametrize("family", FAMILIES)
def test_counts_are_those_of_the_reference_implementation(family: str) -> None:
    kin = open_family(family)
    width, height = kin.reference.size
    assert kin.reference.counts
    for text, (parameters, macs) in kin.reference.counts.items():
        with torch.device("meta"):
            network = kin.module(kin.reference.classes, **arguments_from_text(text, kin.variants, family=family))
        counts = count(network, width, height)
        assert counts.parameters == pytest.approx(parameters * 1e6, rel=COUNTS), text
        assert macs is None or counts.macs == pytest.approx(macs * 1e9, rel=COUNTS), text


@pytest.mark.parametrize("family", FAMILIES)
def test_every_variant_states_all_keyword_arguments(family: str) -> None:
    kin = open_family(family)
    stated = set(inspect.signature(kin.module).parameters) - {"classes", "auxiliary"}
    assert [name for name, arguments in kin.variants.items() if set(arguments) != stated] == []


@pytest.mark.parametrize("family", [name for name in FAMILIES if open_family(name).encoder])
def test_the_encoder_is_a_part_of_every_variant(family: str) -> None:
    kin = open_family(family)
    assert kin.encoder
    for variant, arguments in kin.variants.items():
        with torch.device("meta"):
            network = kin.module(5, **arguments)
        part = network.get_submodule(kin.encoder.module)
        assert 0 < count_of(part) < count_of(network), variant
    assert set(kin.encoder.packages) <= set(kin.variants)


def count_of(module: torch.nn.Module) -> int:
    return sum(values.numel() for values in module.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_what_only_training_needs_costs_nothing_once_deployed(family: str) -> None:
    kin = open_family(family)
    spec = spec_of(family, smallest_variant(family))
    with torch.device("meta"):
        training, deployed = (kin.build(spec, training=on) for on in (True, False))
    assert set(kin.deployed(training.state_dict())) == set(deployed.state_dict())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_says_what_it_is(family: str) -> None:
    kin = open_family(family)
    assert kin.group in GROUPS
    assert kin.reference.result
    assert kin.reference.licence
    assert kin.published_variants
    assert "arXiv" in kin.origin or "wheel" in kin.origin
