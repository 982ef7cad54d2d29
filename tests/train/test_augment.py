"""Laws of the augmentation and of the loss."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.train.augment import IGNORE, Augmentation, hue_rotation

SIDES = st.integers(8, 70)


def coded(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A grey picture that is 20 times its label everywhere."""
    labels = np.random.default_rng(seed).integers(0, 11, (height, width), dtype=np.uint8)
    return np.repeat(20 * labels[..., None], 3, axis=2), labels


@settings(max_examples=40, deadline=None)
@given(
    picture=st.tuples(SIDES, SIDES), size=st.tuples(SIDES, SIDES), crop=st.tuples(SIDES, SIDES), seed=st.integers(0, 99)
)
def test_a_crop_has_its_size_and_no_label_that_was_not_there(
    picture: tuple[int, int], size: tuple[int, int], crop: tuple[int, int], seed: int
) -> None:
    rgb, labels = coded(*picture)
    kept = rgb.copy(), labels.copy()
    out, truth = Augmentation(size, crop).apply(rgb, labels, np.random.default_rng(seed))
    assert (out.shape, truth.shape) == ((*crop, 3), crop)
    assert out.dtype == truth.dtype == np.uint8
    assert set(np.unique(truth)) <= {*np.unique(labels), IGNORE}
    assert np.array_equal(rgb, kept[0])
    assert np.array_equal(labels, kept[1])


@given(seed=st.integers(0, 1000))
def test_the_same_generator_gives_the_same_crop(seed: int) -> None:
    augmentation = Augmentation((40, 60), (32, 32))
    first, second = (augmentation.apply(*coded(40, 60), np.random.default_rng(seed)) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])


@given(seed=st.integers(0, 1000))
def test_picture_and_labels_are_moved_alike(seed: int) -> None:
    augmentation = Augmentation((40, 60), (50, 50), scale=(1.0, 1.0), colour=0.0)
    rgb, truth = augmentation.apply(*coded(40, 60), np.random.default_rng(seed))
    inside = truth != IGNORE
    assert inside.sum() == 40 * 50
    assert np.array_equal(rgb[inside], np.repeat(20 * truth[inside][:, None], 3, axis=1))


def test_both_flips_and_many_crops_come_up() -> None:
    augmentation = Augmentation((40, 60), (40, 60), scale=(1.0, 1.0), colour=0.0)
    rgb, labels = coded(40, 60)
    crops = [augmentation.apply(rgb, labels, np.random.default_rng(seed))[1] for seed in range(20)]
    flipped = sum(np.array_equal(crop, labels[:, ::-1]) for crop in crops)
    assert flipped + sum(np.array_equal(crop, labels) for crop in crops) == 20
    assert 3 <= flipped <= 17


def test_what_is_off_changes_no_byte_and_draws_no_number() -> None:
    rgb, labels = coded(40, 60)
    plain = Augmentation((40, 60), (32, 32)).apply(rgb, labels, np.random.default_rng(1))
    generator = np.random.default_rng(1)
    off = Augmentation((40, 60), (32, 32), gamma=0, hue=0, gain=0, blur=0, noise=0).apply(rgb, labels, generator)
    assert np.array_equal(plain[0], off[0])
    follows = np.random.default_rng(1)
    Augmentation((40, 60), (32, 32)).apply(rgb, labels, follows)
    assert generator.random() == follows.random()


@pytest.mark.parametrize("option", ["gamma", "hue", "gain", "blur", "noise"])
def test_each_further_option_changes_colours_and_no_label(option: str) -> None:
    rgb = np.random.default_rng(0).integers(40, 200, (40, 60, 3), dtype=np.uint8)
    labels = coded(40, 60)[1]
    strength = {"hue": 40.0, "blur": 3.0, "noise": 20.0}.get(option, 0.4)
    plain, truth = Augmentation((40, 60), (32, 32)).apply(rgb, labels, np.random.default_rng(1))
    some, same = Augmentation((40, 60), (32, 32), **{option: strength}).apply(rgb, labels, np.random.default_rng(1))
    assert not np.array_equal(plain, some)
    assert np.array_equal(truth, same)


@given(seed=st.integers(0, 1000), gain=st.sampled_from([0.0, 0.2]), blur=st.sampled_from([0.0, 1e-9]))
def test_colours_are_brightness_of_contrast_about_the_mean_grey_of_saturation(
    seed: int, gain: float, blur: float
) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    augmentation = Augmentation((20, 30), (20, 30), gain=gain, blur=blur)
    found = augmentation._recolour(rgb, np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    brightness, contrast, saturation = 1 + rng.uniform(-0.4, 0.4, 3)
    grey = rgb @ np.array([0.299, 0.587, 0.114])
    pixels = grey[..., None] + saturation * (rgb - grey[..., None])
    pixels = brightness * (grey.mean() + contrast * (pixels - grey.mean()))
    if gain:
        pixels = pixels * (1 + rng.uniform(-gain, gain, 3))
    # rounded to the nearest; of bytes OpenCV computes with a matrix that is rounded to 1/1024
    assert np.abs(found - np.clip(pixels, 0, 255)).max() <= 0.5 + 3 * 255 / 2048


@given(degrees=st.floats(-180, 180))
def test_turning_the_hue_keeps_grey_and_the_sum_of_the_channels(degrees: float) -> None:
    turn = hue_rotation(degrees)
    assert np.allclose(turn @ np.ones(3), np.ones(3), atol=1e-12)  # a handful of roundings of float64
    assert np.allclose(turn.sum(0), np.ones(3), atol=1e-12)
    assert np.allclose(turn @ turn.T, np.eye(3), atol=1e-12)


def test_the_loss_is_cross_entropy_of_judged_pixels_plus_the_auxiliary_heads_share() -> None:
    torch = pytest.importorskip("torch")
    from edgeseg.train.loss import Criterion

    torch.manual_seed(0)
    logits, weights = torch.randn(2, 4, 8, 8), torch.tensor([1.0, 2.0, 0.5, 0.5])
    small = torch.randint(0, 4, (2, 8, 8))
    small[:, :3] = IGNORE
    labels = small.repeat_interleave(2, 1).repeat_interleave(2, 2)  # whichever pixel of a block is judged is the same
    main = Criterion(weights, 0.4)([logits], labels)
    judged, truth = logits[:, :, 3:].permute(0, 2, 3, 1).reshape(-1, 4), small[:, 3:].reshape(-1)
    expected = -(weights[truth] * judged.log_softmax(1)[range(len(truth)), truth]).sum() / weights[truth].sum()
    assert main.item() == pytest.approx(expected.item(), rel=1e-5)  # float32 sums in another order
    heads = [logits, torch.zeros(2, 4, 4, 4)]  # a head that knows nothing loses ln 4 at each pixel
    both = Criterion(weights, 0.4)(heads, labels)
    assert both.item() == pytest.approx(main.item() + 0.4 * np.log(4), rel=1e-5)  # as above
