"""Laws of the augmentation and of the loss."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.train.augment import IGNORE, Augmentation

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
    # the colours go through float32 and lose at most one in rounding down
    assert np.abs(rgb[inside].astype(int) - 20 * truth[inside][:, None]).max() <= 1


def test_both_flips_and_many_crops_come_up() -> None:
    augmentation = Augmentation((40, 60), (40, 60), scale=(1.0, 1.0), colour=0.0)
    rgb, labels = coded(40, 60)
    crops = [augmentation.apply(rgb, labels, np.random.default_rng(seed))[1] for seed in range(20)]
    flipped = sum(np.array_equal(crop, labels[:, ::-1]) for crop in crops)
    assert flipped + sum(np.array_equal(crop, labels) for crop in crops) == 20
    assert 3 <= flipped <= 17


def test_the_loss_is_cross_entropy_of_judged_pixels_plus_the_auxiliary_heads_share() -> None:
    torch = pytest.importorskip("torch")
    from edgeseg.train.loss import segmentation_loss

    torch.manual_seed(0)
    logits, weights = torch.randn(2, 4, 8, 8), torch.tensor([1.0, 2.0, 0.5, 0.5])
    labels = torch.randint(0, 4, (2, 8, 8))
    labels[:, :3] = IGNORE
    main = segmentation_loss([logits], labels, weights, 0.4)
    judged, truth = logits[:, :, 3:].permute(0, 2, 3, 1).reshape(-1, 4), labels[:, 3:].reshape(-1)
    expected = -(weights[truth] * judged.log_softmax(1)[range(len(truth)), truth]).sum() / weights[truth].sum()
    assert main.item() == pytest.approx(expected.item(), rel=1e-5)  # float32 sums in another order
    both = segmentation_loss([logits, logits], labels, weights, 0.4)
    assert both.item() == pytest.approx(1.4 * main.item(), rel=1e-5)  # as above
    small = torch.nn.functional.interpolate(logits, scale_factor=0.5)
    assert segmentation_loss([small], labels, weights, 0.4).isfinite()
