"""The card of a trained model: its command repeats the recipe."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

import pytest
from small_datasets import SMALL

pytest.importorskip("torch")

from edgeseg.cli import LazyGroup
from edgeseg.datasets import open_dataset
from edgeseg.train.card import card_of
from edgeseg.train.config import TrainConfig
from edgeseg.train.recipe import spec_from_config

STREET = "street:?seed=1&scenes=2&frames=2&size=96x64"


def options_of(card: str) -> dict[str, object]:
    """What the command line reads of the command in the card."""
    command = LazyGroup().get_command(None, "train")
    text = re.search(r"^    edgeseg train (.*)\Z", card, re.DOTALL | re.MULTILINE)
    assert text
    context = command.make_context("train", shlex.split(text[1].replace("\\\n", " ")))
    return {key: value for key, value in context.params.items() if value not in (None, [], (), False)}


def test_the_command_of_the_card_has_every_option_that_was_typed(tmp_path: Path) -> None:
    uri = SMALL["camvid"](tmp_path / "secret")
    config = TrainConfig(
        name="net", family="liteseg", variant="tiny?decoder=uafm", size=(64, 96), crop=(64, 64), steps=12, batch=2,
        data=((uri, 0.9), (STREET, 0.1)), val=f"{uri}?sequence=0001TP", keep="best", scale=(0.5, 1.5), paste=0.5,
        loss=("cross_entropy?smoothing=0.1", "dice=0.5"), licence="CC-BY-NC-4.0", encoder="package==0.1.0",
        encoder_sha256="e" * 64, encoder_licence="Apache-2.0", teacher="bisenetv2-street.safetensors",
        teacher_sha256="t" * 64, distill=3.0, warm_up=6,
    )  # fmt: skip
    card = card_of(config, spec_from_config(config), "d" * 64)
    assert "secret" not in card
    assert f"Weights of the encoder: `package==0.1.0`, licence Apache-2.0, SHA-256 `{'e' * 64}`." in card
    assert f"Teacher: `bisenetv2-street.safetensors`, SHA-256 `{'t' * 64}`." in card
    assert "Initial weights" not in card
    typed = options_of(card)
    assert typed["model"] == "liteseg"
    assert typed["data"] == ["camvid:PATH?split=test", open_dataset(STREET).name]
    assert typed["val"] == "camvid:PATH?split=test&sequence=0001TP"
    assert (typed["encoder_weights"], typed["teacher"]) == ("package", "bisenetv2-street")
    assert (typed["size"], typed["crop"], typed["share"]) == ("96x64", "64x64", [0.9, 0.1])
    same = ("name", "variant", "steps", "batch", "keep", "paste", "licence", "distill", "warm_up", "precision")
    assert {key: typed[key] for key in same} == {key: getattr(config, key) for key in same}
    assert (list(typed["loss"]), tuple(typed["scale"])) == (list(config.loss), config.scale)  # type: ignore[call-overload]


def test_a_card_of_weights_that_were_trained_further_names_them() -> None:
    config = TrainConfig(
        name="net", family="bisenetv2", variant="light", size=(64, 96), crop=(64, 96), steps=1,
        data=((STREET, 1.0),), start="bisenetv2-street.safetensors", start_sha256="5" * 64, learning_rate=1.5e-3,
    )  # fmt: skip
    card = card_of(config, spec_from_config(config), "d" * 64)
    assert f"Initial weights: `bisenetv2-street.safetensors`, SHA-256 `{'5' * 64}`." in card
    typed = options_of(card)
    assert typed["model"] == "bisenetv2-street"
    assert "variant" not in typed
    assert not {"crop", "learning_rate", "batch"} & typed.keys()  # the defaults of the family
    other = dataclasses.replace(config, learning_rate=2e-3)
    assert options_of(card_of(other, spec_from_config(other), ""))["learning_rate"] == 2e-3
