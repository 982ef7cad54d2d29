"""Numbers of steps, and defaults."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")

from edgeseg.datasets import open_dataset
from edgeseg.models import FAMILIES
from edgeseg.train.config import (
    PRESETS,
    VALIDATIONS,
    TrainConfig,
    preset_of,
    steps_between_validations,
    steps_from_epochs,
    steps_from_minutes,
    with_steps,
)
from edgeseg.train.recipe import default_size

CONFIG = TrainConfig("x", "bisenetv2", "light", (("street:", 1.0),), (64, 96), (64, 96), steps=0)


def test_an_epoch_sees_each_image_once() -> None:
    assert steps_from_epochs(1, 367, 1.0, 8) == 46  # 45.9
    assert steps_from_epochs(10, 360, 0.5, 8) == 900  # the other half of the batches is of other data
    assert steps_from_epochs(0.001, 8, 1.0, 8) == 1


@given(
    minutes=st.floats(0, 600), step=st.floats(0.01, 10), pause=st.floats(0, 600), every=st.none() | st.integers(1, 500)
)
def test_steps_and_validations_fit_in_the_minutes(minutes: float, step: float, pause: float, every: int | None) -> None:
    steps = steps_from_minutes(minutes, step, pause, every)
    pauses = steps / every if every else VALIDATIONS
    assert steps == 1 or steps * step + pauses * pause <= 60 * minutes * (1 + 1e-9)  # rounding of a few operations


def test_a_validation_is_due_ten_times() -> None:
    assert steps_between_validations(2000) == 200
    assert steps_between_validations(7) == 1


def test_a_warm_up_takes_at_most_half_of_the_steps() -> None:
    assert with_steps(CONFIG, 20).warm_up == 10
    assert with_steps(CONFIG, 500).warm_up == 100
    assert with_steps(dataclasses.replace(CONFIG, warm_up=500), 2000).warm_up == 500


def test_presets_name_known_families_and_fields() -> None:
    assert set(PRESETS) <= set(FAMILIES)
    for family in FAMILIES:
        assert dataclasses.replace(CONFIG, **preset_of(family)).steps == 0


@pytest.mark.parametrize(
    ("image", "size"), [("480x360", (384, 480)), ("960x720", (384, 480)), ("1024x512", (512, 1024))]
)
def test_the_default_size_is_near_that_of_the_images(image: str, size: tuple[int, int]) -> None:
    assert default_size(open_dataset(f"street:?size={image}&frames=1"), "bisenetv2") == size
