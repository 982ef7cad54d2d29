from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.errors import FormatError, MismatchError, SizeError
from edgeseg.spec import InputSpec, LabelSet, ModelSpec, Output, OutputSpec, SizeRule, Task, Tiles, size_from_text

names = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=30)


@st.composite
def specs(draw: st.DrawFn) -> ModelSpec:
    labels = tuple(draw(names))
    byte = st.integers(0, 255)
    palette = tuple(draw(st.tuples(byte, byte, byte)) for _ in labels)
    three = st.tuples(*[st.floats(0.01, 1.0) for _ in range(3)])
    tiles = st.builds(Tiles, st.one_of(st.none(), st.just(0)), st.sampled_from(["hann", "centre"]))
    inputs = InputSpec(
        width=draw(st.integers(1, 4096)), height=draw(st.integers(1, 4096)), mean=draw(three), std=draw(three),
        color=draw(st.sampled_from(["rgb", "bgr"])), tiles=draw(st.one_of(st.none(), tiles)),
    )  # fmt: skip
    name = draw(st.text(st.characters(exclude_characters="/\\\0"), max_size=20))
    return ModelSpec(
        name=name, input=inputs, labels=LabelSet(labels, palette),
        align_corners=draw(st.booleans()), licence="Apache-2.0",
    )  # fmt: skip


def plain_spec() -> ModelSpec:
    names = tuple("abcdefghijk")
    return ModelSpec("net", InputSpec(64, 64), LabelSet(names, tuple((n, n, n) for n in range(11))))


@given(specs())
def test_json_and_back_is_the_same_spec(spec: ModelSpec) -> None:
    assert ModelSpec.from_json(spec.to_json()) == spec


def test_a_spec_without_tiles_is_that_of_older_versions() -> None:
    assert "tiles" not in plain_spec().to_dict()["input"]
    assert plain_spec().tiled(Tiles(8)).to_dict()["input"]["tiles"] == {"overlap": 8, "stitch": "hann"}


@pytest.mark.parametrize("name", ["../evil", "a\\b", "/etc/net"])
def test_a_name_that_leads_to_another_folder_is_refused(name: str) -> None:
    with pytest.raises(FormatError) as caught:
        ModelSpec(name, InputSpec(64, 64), LabelSet(("a",), ((0, 0, 0),)))
    assert caught.value.code == "ES-FORMAT-SPEC"
    assert repr(name) in caught.value.message


@pytest.mark.parametrize(
    "changes",
    [
        {"name": 5},
        {"variant": None},
        {"input": {"width": "wide", "height": 64, "mean": [0] * 3, "std": [1] * 3}},
        {"input": {"width": 64, "height": 64, "mean": ["a"] * 3, "std": [1] * 3}},
        {"input": {"width": 64, "height": 64, "mean": [0] * 3, "std": [1] * 3, "tiles": "hann"}},
        {"input": {"width": 64, "height": 64, "mean": [0] * 3, "std": [1] * 3, "tiles": {"stitch": []}}},
    ],
)
def test_a_spec_of_other_types_is_refused(changes: dict[str, object]) -> None:
    spec = ModelSpec("n", InputSpec(64, 64), LabelSet(("a",), ((0, 0, 0),)))
    with pytest.raises(FormatError) as caught:
        ModelSpec.from_dict({**spec.to_dict(), **changes})
    assert caught.value.code == "ES-FORMAT-SPEC"


@given(st.integers(1, 64), st.integers(1, 300), st.integers(1, 900), st.integers(1, 900))
def test_the_nearest_sizes_fit_and_lie_around(multiple: int, minimum: int, width: int, height: int) -> None:
    rule = SizeRule(multiple, minimum)
    nearest = rule.nearest(width, height)
    assert all(rule.fits(*size) for size in nearest)
    assert rule.fits(width, height) == (nearest == [(width, height)])
    smallest = rule.floor_minimum
    for index, side in enumerate((width, height)):
        assert all(abs(size[index] - max(side, smallest)) < multiple for size in nearest)


def test_a_wrong_size_names_the_nearest_that_fit() -> None:
    with pytest.raises(SizeError) as caught:
        SizeRule(multiple=32, minimum=64).check(480, 360, model="net")
    assert caught.value.message == "net does not take 480x360: it takes multiples of 32, at least 64"
    assert caught.value.hint == "use 480x352 or 480x384"


def test_a_newer_schema_is_refused_with_the_upgrade() -> None:
    spec = ModelSpec("n", InputSpec(64, 64), LabelSet(("a",), ((0, 0, 0),)))
    data = {**json.loads(spec.to_json()), "schema": 3}
    with pytest.raises(MismatchError) as caught:
        ModelSpec.from_json(json.dumps(data))
    assert "schema 3" in caught.value.message
    assert caught.value.hint == "pip install --upgrade edgeseg"


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "1"}', '{"name": "x"}', '{"schema": 1, "name": "x"}'])
def test_text_that_is_no_spec_is_refused(text: str) -> None:
    with pytest.raises(FormatError) as caught:
        ModelSpec.from_json(text)
    assert caught.value.code == "ES-FORMAT-SPEC"


@pytest.mark.parametrize("text", ["1024", "x512", "1024x", "axb", "0x10", "10x-3", "1024x512x3"])
def test_text_that_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(SizeError):
        size_from_text(text)


def test_sizes_are_width_then_height() -> None:
    assert size_from_text("1024x512") == (1024, 512)


def test_a_bad_input_spec_is_refused() -> None:
    for wrong in (
        {"color": "hsv"},
        {"std": (1.0, 0.0, 1.0)},
        {"mean": (0.0, float("nan"), 0.0)},
        {"std": (1.0, float("inf"), 1.0)},
        {"resize": "crop"},
    ):
        with pytest.raises(FormatError) as caught:
            InputSpec(64, 64, **wrong)
        assert caught.value.code == "ES-FORMAT-SPEC"


def test_a_label_set_with_too_few_colours_is_refused() -> None:
    with pytest.raises(FormatError) as caught:
        LabelSet(("a", "b"), ((0, 0, 0),))
    assert caught.value.code == "ES-FORMAT-SPEC"


def test_schema_1_is_read_as_a_semantic_model_with_one_output() -> None:
    spec = plain_spec()
    old = {**spec.to_dict(), "schema": 1}
    for key in ("task", "outputs"):
        del old[key]
    del old["labels"]["things"]
    assert ModelSpec.from_dict(old) == spec
    assert (spec.task, spec.outputs, spec.labels.things) == (Task.SEMANTIC, (), ())


def test_task_outputs_and_countable_classes_survive_json() -> None:
    spec = plain_spec()
    outputs = (OutputSpec("drivable", Output.LOGITS), OutputSpec("lanes", Output.MASK))
    labels = dataclasses.replace(spec.labels, things=(1, 3))
    spec = dataclasses.replace(spec, task=Task.PANOPTIC, outputs=outputs, labels=labels)
    assert ModelSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    "change", [{"task": "video"}, {"outputs": [{"name": "a", "kind": "boxes"}]}, {"outputs": [3]}, {"outputs": 3}]
)
def test_an_unknown_task_or_output_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(FormatError) as caught:
        ModelSpec.from_dict({**plain_spec().to_dict(), **change})
    assert caught.value.code == "ES-FORMAT-SPEC"


@pytest.mark.parametrize("things", [(-1,), (11,), ("car",)])
def test_countable_classes_are_ids_of_the_label_set(things: tuple[Any, ...]) -> None:
    with pytest.raises(FormatError):
        dataclasses.replace(plain_spec().labels, things=things)
