"""Alarms for classes: raised for what is lost, not for what chance takes from a class with few pixels."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.bench.accuracy_change import FEWEST_IMAGES, AccuracyChange, accuracy_change
from edgeseg.metrics.confusion import ConfusionMatrix

NAMES = ("road", "car", "pole")
PIXELS = (8000, 1500, 60)  # of each class in an image


def matrices(rng: np.random.Generator, images: int, right: tuple[float, ...], spread: float = 30.0) -> np.ndarray:
    """(images, 3, 3): of each class a share of about `right` is right, the rest is road, or car of road."""
    counts = np.zeros((images, 3, 3), np.int64)
    for place, (pixels, share) in enumerate(zip(PIXELS, right)):
        shares = rng.beta(share * spread, (1 - share) * spread, images)
        hits = rng.binomial(pixels, shares)
        counts[:, place, place] = hits
        counts[:, place, 0 if place else 1] += pixels - hits
    return counts


def change(seed: int, images: int, a: tuple[float, ...], b: tuple[float, ...]) -> AccuracyChange:
    rng = np.random.default_rng(seed)
    return accuracy_change("test", NAMES, matrices(rng, images, a), matrices(rng, images, b), max_class_drop=0.05)


def test_a_class_of_few_pixels_that_is_lost_raises_an_alarm_that_miou_hides() -> None:
    found = change(0, 60, (0.97, 0.9, 0.7), (0.975, 0.92, 0.45))
    assert [each.name for each in found.alarms] == ["pole"]
    assert found.drop.value < 0.1
    pole = found.classes[2]
    assert pole.drop is not None
    assert pole.drop.low > 0
    assert (pole.pixels, pole.images) == (60 * 60, 60)


def test_chance_raises_no_alarm() -> None:
    found = [change(seed, 20, (0.97, 0.9, 0.5), (0.97, 0.9, 0.5)) for seed in range(100)]
    drops = [each.classes[2].drop for each in found]
    assert sum(each is not None and each.value > 0.05 for each in drops) > 3, "chance alone exceeds the limit"
    assert sum(bool(each.alarms) for each in found) <= 3  # 1 of 100 is expected; more than 3 have a chance of 2%


def test_a_small_loss_raises_no_alarm_however_sure() -> None:
    rng = np.random.default_rng(0)
    before, after = (matrices(rng, 50, (0.97, share, 0.7), spread=1e4) for share in (0.9, 0.88))
    found = accuracy_change("test", NAMES, before, after)
    car = found.classes[1]
    assert car.drop is not None
    assert car.drop.low > 0
    assert found.alarms == ()


@pytest.mark.parametrize(("images", "alarm"), [(FEWEST_IMAGES - 1, False), (FEWEST_IMAGES, True)])
def test_a_class_in_too_few_images_raises_no_alarm(images: int, alarm: bool) -> None:
    rng = np.random.default_rng(0)
    before, after = (matrices(rng, 30, right, spread=1e4) for right in ((0.97, 0.9, 0.9), (0.97, 0.9, 0.2)))
    for each in (before, after):
        each[images:, 2] = 0
    found = accuracy_change("test", NAMES, before, after)
    assert (bool(found.alarms), found.classes[2].images) == (alarm, images)


def test_the_figures_are_those_of_the_confusion_matrix_and_the_ends_turn_round() -> None:
    rng = np.random.default_rng(3)
    before, after = (matrices(rng, 12, right) for right in ((0.9, 0.8, 0.7), (0.9, 0.7, 0.6)))
    found, back = accuracy_change("x", NAMES, before, after), accuracy_change("x", NAMES, after, before)
    confusion = ConfusionMatrix(3)
    confusion.counts = after.sum(0)
    assert found.b == pytest.approx(confusion.miou())
    assert [each.b for each in found.classes] == pytest.approx(confusion.iou().tolist())
    assert found.drop.value == pytest.approx(found.a - found.b) == pytest.approx(-back.drop.value)
    assert (found.drop.low, found.drop.high) == pytest.approx((-back.drop.high, -back.drop.low))
    assert found.drop.low <= found.drop.value <= found.drop.high


def test_a_class_that_does_not_occur_has_no_figures_and_extra_ids_are_wrong() -> None:
    counts = np.zeros((9, 3, 4), np.int64)
    counts[:, 0, 0], counts[:, 1, 1] = 90, 10
    extra = counts.copy()
    extra[:, 1, 1], extra[:, 1, 3] = 2, 8
    found = accuracy_change("x", NAMES, counts, extra)
    road, car, pole = found.classes
    assert (road.a, road.b, car.a, car.b) == (1.0, 1.0, 1.0, 0.2)
    assert (pole.a, pole.b, pole.drop, pole.alarm) == (None, None, None, False)
    assert [each.name for each in found.alarms] == ["car"]
    assert found.to_dict()["alarms"] == ["car"]


def test_equal_engines_lose_nothing() -> None:
    counts = matrices(np.random.default_rng(4), 10, (0.9, 0.8, 0.7))
    found = accuracy_change("x", NAMES, counts, counts)
    assert (found.drop.low, found.drop.value, found.drop.high) == (0.0, 0.0, 0.0)
    assert found.alarms == ()
