"""MODEL of a training: a family, a bundled model or a weights file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from small_datasets import SMALL
from small_nets import small_spec, write_state

torch = pytest.importorskip("torch")

from edgeseg.datasets import open_dataset  # noqa: E402
from edgeseg.errors import FileProblem, MismatchError, UnknownNameError  # noqa: E402
from edgeseg.models import FAMILIES, open_family  # noqa: E402
from edgeseg.spec import InputSpec, LabelSet  # noqa: E402
from edgeseg.train.batches import Normalise  # noqa: E402
from edgeseg.train.config import TrainConfig  # noqa: E402
from edgeseg.train.initial_weights import initial_weights_from_model  # noqa: E402
from edgeseg.train.recipe import spec_from_config  # noqa: E402
from edgeseg.train.request import checked_name, default_name  # noqa: E402
from edgeseg.weights import BUNDLED  # noqa: E402

CPU = torch.device("cpu")
SPEC = small_spec("bisenetv2")


def test_a_family_starts_with_its_first_variant_and_no_weights() -> None:
    first = next(iter(open_family("bisenetv2").variants))
    assert initial_weights_from_model("bisenetv2").variant == first
    initial = initial_weights_from_model("bisenetv2", "light?head=64")
    assert (initial.variant, initial.sha256, initial.state_for(SPEC)) == ("light?head=64", "", {})


def test_weights_give_family_and_variant(tiny_weights: Path) -> None:
    initial = initial_weights_from_model(str(tiny_weights))
    assert (initial.family, initial.variant, initial.spec) == ("bisenetv2", "light", SPEC)
    assert len(initial.state_for(SPEC)) == len(open_family("bisenetv2").build(SPEC).state_dict())
    assert initial_weights_from_model("bisenetv2-street").family == "bisenetv2"


@pytest.mark.parametrize("names", [tuple("abc"), tuple("abcdefghijk")])  # fewer, and as many of other names
def test_the_classifier_is_left_out_where_the_classes_differ(tiny_weights: Path, names: tuple[str, ...]) -> None:
    others = LabelSet(names=names, palette=((0, 0, 0),) * len(names))
    initial = initial_weights_from_model(str(tiny_weights))
    missing = initial.state_for(SPEC).keys() - initial.state_for(dataclasses.replace(SPEC, labels=others)).keys()
    assert missing == {"head.2.weight", "head.2.bias"}


def test_weights_that_lack_a_tensor_are_refused(tmp_path: Path) -> None:
    state = open_family("bisenetv2").build(SPEC).state_dict()
    del state["aggregate.last.0.weight"]
    initial = initial_weights_from_model(str(write_state(tmp_path / "w.safetensors", state, SPEC)))
    with pytest.raises(MismatchError, match=r"aggregate.last.0.weight"):
        initial.state_for(SPEC)


def test_unknown_models_are_refused(tiny_weights: Path) -> None:
    with pytest.raises(UnknownNameError) as caught:
        initial_weights_from_model("bisenetv3")
    assert "bisenetv2" in caught.value.hint
    with pytest.raises(UnknownNameError, match="lihgt"):
        initial_weights_from_model("bisenetv2", "lihgt")
    with pytest.raises(MismatchError, match="base"):
        initial_weights_from_model(str(tiny_weights), "base")
    with pytest.raises(FileProblem, match=r"nothing\.safetensors"):
        initial_weights_from_model("nothing.safetensors")


def test_the_normalisation_of_the_weights_is_kept_at_another_size() -> None:
    bgr = InputSpec(width=96, height=64, mean=(0.1, 0.2, 0.3), std=(1.0, 0.5, 0.25), color="bgr")
    old = dataclasses.replace(SPEC, input=bgr, align_corners=True)
    config = TrainConfig("x", "bisenetv2", "light", (("street:", 1.0),), (64, 128), (64, 64), steps=1)
    spec = spec_from_config(config, old)
    assert spec.input == dataclasses.replace(bgr, width=128)
    assert spec.align_corners
    assert spec_from_config(config).input.mean == InputSpec(width=1, height=1).mean
    rgb = torch.tensor([255.0, 127.5, 0.0]).view(1, 3, 1, 1)
    assert Normalise(spec.input, CPU)(rgb).flatten().tolist() == pytest.approx([-0.1, 0.6, 2.8])


def test_the_default_name_says_what_it_was_trained_on_and_is_that_of_no_bundled_model(tmp_path: Path) -> None:
    names = {default_name(family, open_dataset(SMALL[kind](tmp_path / kind))) for family in FAMILIES for kind in SMALL}
    assert "bisenetv2-street-trained" in names
    assert len(names) == len(FAMILIES) * len(SMALL)
    assert not names & set(BUNDLED)
    yard = Path(SMALL["folder"](tmp_path / "yard").removeprefix("folder:"))
    (yard / "dataset.toml").write_text('name = "my yard/2"\nclasses = "labels.txt"\n')
    assert (
        checked_name(default_name("bisenetv2", open_dataset(f"folder:{yard}"))) == "bisenetv2-folder-my-yard-2-trained"
    )
