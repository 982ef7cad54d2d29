"""Each loss of the table: what all of them keep to, and its formula, computed in another way on small arrays."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

import edgeseg.train.losses as losses  # noqa: E402
from edgeseg.errors import FormatError, MismatchError, UnknownNameError  # noqa: E402
from edgeseg.train.loss import Criterion, thinned  # noqa: E402
from edgeseg.train.losses import LOSSES, term_from_text, terms_from_texts, texts_from_numbers, texts_of  # noqa: E402
from edgeseg.train.losses.class_weights import balanced_class_weights, counts_from_labels  # noqa: E402
from edgeseg.train.losses.detail import detail_loss, detail_map  # noqa: E402
from edgeseg.train.losses.loss import IGNORE, Target  # noqa: E402
from edgeseg.train.losses.ohem import hard_pixels  # noqa: E402
from edgeseg.train.losses.presence import presence_loss  # noqa: E402

CLASSES = 4
WEIGHTS = torch.tensor([1.0, 2.0, 0.5, 0.25])
ROUNDING = 2e-5  # float32 sums in another order, relative


def example(seed: int = 0, size: tuple[int, int] = (9, 11)) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and labels of two images; class 3 does not occur, and some pixels are ignored."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (2, CLASSES, *size)).astype(np.float32)
    labels = rng.integers(0, CLASSES - 1, (2, *size)).repeat(3, axis=2)[:, :, : size[1]]
    labels[rng.random(labels.shape) < 0.1] = IGNORE
    return torch.from_numpy(logits), torch.from_numpy(labels)


def value_of(text: str, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The loss at all pixels."""
    return term_from_text(text).loss(logits, Target(labels, WEIGHTS, labels))


def labelled_pixels(logits: torch.Tensor, labels: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(pixels, C) probabilities in float64 and (pixels,) classes of the labelled pixels."""
    scores = logits.double().numpy().transpose(0, 2, 3, 1).reshape(-1, CLASSES)
    truth = labels.numpy().ravel()
    exponents = np.exp(scores - scores.max(1, keepdims=True))
    return (exponents / exponents.sum(1, keepdims=True))[truth != IGNORE], truth[truth != IGNORE]


def by_formula(text: str, logits: torch.Tensor, labels: torch.Tensor) -> float:
    p, truth = labelled_pixels(logits, labels)
    true_p, weights = p[np.arange(len(truth)), truth], WEIGHTS.double().numpy()[truth]
    name = text.partition("?")[0]
    if name == "cross_entropy":
        smoothing = float(text.partition("smoothing=")[2] or 0)
        losses = -(1 - smoothing) * np.log(true_p) - smoothing * np.log(p).mean(1)
        return float(np.average(losses, weights=weights))
    if name == "focal":
        gamma = float(text.partition("gamma=")[2] or 2)
        return float(np.average(-np.log(true_p) * (1 - true_p) ** gamma, weights=weights))
    if name == "ohem":
        limit = max(0.7, np.sort(true_p)[len(true_p) // 16])
        return float(np.average(-np.log(true_p), weights=weights * (true_p <= limit)))
    if name == "boundary":
        near = near_boundaries(labels.numpy(), sigma=2.0)[labels.numpy() != IGNORE]
        return float(np.average(-np.log(true_p), weights=weights * (1 + 3 * near)))
    by_class = dice_of if name == "dice" else lovasz_of
    return float(np.mean([by_class(p[:, k], truth == k) for k in np.unique(truth)]))


def near_boundaries(labels: np.ndarray, sigma: float) -> np.ndarray:
    """exp(-d^2 / (2 sigma^2)) of each pixel, from the distances to all pixels that have another class beside them."""
    out = np.zeros(labels.shape)
    for image, result in zip(labels, out):
        height, width = image.shape
        beside = ((0, 1), (1, 0), (0, -1), (-1, 0))
        boundary = [
            (y, x)
            for y, x in np.ndindex(image.shape)
            for dy, dx in beside
            if 0 <= y + dy < height and 0 <= x + dx < width
            if IGNORE not in (image[y, x], image[y + dy, x + dx]) and image[y, x] != image[y + dy, x + dx]
        ]
        for y, x in np.ndindex(image.shape):
            result[y, x] = max(math.exp(-((y - b) ** 2 + (x - a) ** 2) / (2 * sigma**2)) for b, a in boundary)
    return out


def dice_of(p: np.ndarray, true: np.ndarray) -> float:
    return float(1 - 2 * p[true].sum() / ((p**2).sum() + true.sum()))


def lovasz_of(p: np.ndarray, true: np.ndarray) -> float:
    """The Lovasz extension as the integral over t of 1 - IoU where the pixels with an error of at least t are wrong."""
    errors = np.abs(true - p)
    levels = np.unique(np.append(errors, 0.0))
    jaccard = [(errors >= t).sum() / (true | (errors >= t)).sum() for t in levels[1:]]
    return float(np.sum(np.diff(levels) * jaccard))


FORMULAS = [
    "cross_entropy", "cross_entropy?smoothing=0.1", "ohem?probability=0.7", "focal", "focal?gamma=0.5",
    "boundary?strength=3&sigma=2", "dice", "lovasz",
]  # fmt: skip


def test_each_loss_has_its_formula() -> None:
    assert {text.partition("?")[0] for text in FORMULAS} == set(LOSSES)


@pytest.mark.parametrize("text", FORMULAS)
@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_loss_is_that_of_the_formula(text: str, seed: int) -> None:
    logits, labels = example(seed)
    assert float(value_of(text, logits, labels)) == pytest.approx(by_formula(text, logits, labels), rel=ROUNDING)


def test_table_is_what_lies_on_disk() -> None:
    folder = Path(losses.__file__).parent
    on_disk = {path.stem for path in folder.glob("*.py") if re.search(r"^LOSS: ", path.read_text("utf-8"), re.M)}
    assert set(LOSSES) == on_disk


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_pixels_have_no_gradient_and_no_effect(name: str) -> None:
    logits, labels = example()
    logits.requires_grad_()
    loss = value_of(name, logits, labels)
    loss.backward()
    ignored = (labels == IGNORE).unsqueeze(1).expand_as(logits)
    assert not logits.grad[ignored].any()
    assert logits.grad[~ignored].any()
    changed = logits.detach().where(~ignored, 7.0 * torch.arange(CLASSES).view(1, -1, 1, 1))
    assert float(value_of(name, changed, labels)) == float(loss.detach())


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_labelled_costs_nothing(name: str) -> None:
    logits, labels = example()
    logits.requires_grad_()
    loss = value_of(name, logits, torch.full_like(labels, IGNORE))
    loss.backward()
    assert float(loss.detach()) == 0
    assert not logits.grad.any()


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_falls_along_its_gradient_and_is_least_at_the_truth(name: str) -> None:
    logits, labels = example()
    logits.requires_grad_()
    loss = value_of(name, logits, labels)
    loss.backward()
    assert value_of(name, (logits - 0.1 * logits.grad / logits.grad.norm()).detach(), labels) < loss
    truth = torch.nn.functional.one_hot(labels.where(labels != IGNORE, 0), CLASSES).permute(0, 3, 1, 2)
    assert float(value_of(name, 50.0 * truth, labels)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("text", [*LOSSES, "focal?gamma=0.5"])
@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_sure_logits_have_finite_gradients(text: str, scale: float) -> None:
    _, labels = example()
    truth = torch.nn.functional.one_hot(labels.where(labels != IGNORE, 0), CLASSES).permute(0, 3, 1, 2)
    logits = (scale * truth).requires_grad_()
    loss = value_of(text, logits, labels)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


def test_hard_pixels_are_those_below_the_probability_or_a_sixteenth() -> None:
    logits = torch.zeros(1, 2, 8, 8)
    logits[:, 0] = 5.0  # all sure of class 0
    labels = torch.zeros(1, 8, 8, dtype=torch.int64)
    labels[0, 0, :4] = 1  # more than a sixteenth of the 56 that are judged: the sure ones, all alike, stay out
    labels[0, 7] = IGNORE

    def hard(truth: torch.Tensor) -> torch.Tensor:
        values = torch.nn.functional.cross_entropy(logits, truth, ignore_index=IGNORE, reduction="none")
        return hard_pixels(values, truth != IGNORE, 0.7)

    assert hard(labels).nonzero().tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 0, 3]]
    logits[0, 0] = torch.linspace(3, 5, 64).view(8, 8)
    expected = torch.arange(64).view(1, 8, 8) <= 64 // 16  # all are easy: the least sure ones, up to the threshold
    assert torch.equal(hard(torch.zeros_like(labels)), expected)


def test_boundaries_are_those_of_all_pixels_though_a_quarter_is_judged() -> None:
    labels = torch.zeros(1, 8, 8, dtype=torch.int64)
    labels[:, :, 5:] = 1
    torch.manual_seed(0)
    target = thinned(labels, WEIGHTS, 2)
    distances = torch.tensor([4.0, 3, 2, 1, 0, 0, 1, 2]).expand(1, 8, 8)
    assert torch.equal(target.at_pixels(labels), target.labels)
    expected = by_formula_of_distances(target.at_pixels(distances), target.labels)
    logits = torch.zeros(1, CLASSES, 4, 4)
    logits[:, 0] = 1.0
    loss = term_from_text("boundary").loss(logits, target)
    assert float(loss) == pytest.approx(expected, rel=ROUNDING)


def by_formula_of_distances(distances: torch.Tensor, labels: torch.Tensor) -> float:
    weights = (1 + 10 * np.exp(-(distances.numpy() ** 2) / 50)) * WEIGHTS.numpy()[labels.numpy()]
    wrong = math.log(math.e + CLASSES - 1) - (labels.numpy() == 0)
    return float(np.average(wrong, weights=weights))


def test_an_image_of_one_class_has_no_boundary() -> None:
    logits, labels = example()
    flat = torch.ones_like(labels)
    assert float(value_of("boundary", logits, flat)) == float(value_of("cross_entropy", logits, flat))


def test_a_sum_has_each_term_with_its_weight() -> None:
    logits, labels = example()
    one = Criterion(WEIGHTS, terms=terms_from_texts(["cross_entropy", "dice=0.5", "lovasz=2"]))
    torch.manual_seed(0)
    total = float(one([logits], labels))
    torch.manual_seed(0)
    target = thinned(labels, WEIGHTS, 2)
    size = target.labels.shape[-2:]
    full = torch.nn.functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)
    parts = {name: float(term_from_text(name).loss(full, target)) for name in ("cross_entropy", "dice", "lovasz")}
    assert total == pytest.approx(parts["cross_entropy"] + 0.5 * parts["dice"] + 2 * parts["lovasz"], rel=ROUNDING)


def test_auxiliary_heads_learn_by_pixels() -> None:
    _, labels = example()
    main, even = torch.zeros(2, CLASSES, 9, 11), torch.zeros(2, CLASSES, 3, 4)
    for texts in (["dice"], ["dice", "cross_entropy"]):  # a head that knows nothing loses ln 4 at each pixel
        criterion = Criterion(WEIGHTS, 0.5, terms_from_texts(texts))
        torch.manual_seed(0)
        alone = float(criterion([main], labels))
        torch.manual_seed(0)
        assert float(criterion([main, even], labels)) - alone == pytest.approx(0.5 * math.log(CLASSES), rel=1e-4)


def test_a_head_of_one_channel_learns_where_classes_meet() -> None:
    labels = torch.zeros(1, 16, 16, dtype=torch.int64)
    labels[:, :, 8:] = 2
    labels[:, 12:] = IGNORE
    edges = torch.zeros(1, 16, 16)
    edges[:, :11, 8:10] = 1.0  # the higher class's side, as wide as a cell of stride 2; row 11 touches 255
    assert torch.equal(detail_map(labels)[:, :11], edges[:, :11])
    assert not detail_map(labels)[:, 12:].any()
    right = 40.0 * detail_map(labels).unsqueeze(1) - 20
    assert float(detail_loss(right, labels)) == pytest.approx(0, abs=1e-6)
    even = torch.zeros(1, 1, 16, 16)
    hits = float(detail_map(labels).sum())
    expected = math.log(2) + 1 - (2 * 0.5 * hits + 1) / (0.5 * 12 * 16 + hits + 1)
    assert float(detail_loss(even, labels)) == pytest.approx(expected, rel=ROUNDING)
    main = torch.zeros(1, CLASSES, 4, 4)
    criterion = Criterion(WEIGHTS, 0.4)
    torch.manual_seed(0)
    alone = float(criterion([main], labels))
    torch.manual_seed(0)
    assert float(criterion([main, even[..., :4, :4]], labels)) - alone == pytest.approx(0.4 * expected, rel=1e-4)


def test_a_head_of_one_position_learns_which_classes_occur() -> None:
    labels = torch.full((2, 16, 16), 3)
    labels[0, 3, 5] = 1  # one pixel counts as much as all others
    labels[0, 8:] = IGNORE
    labels[1] = IGNORE
    logits = torch.tensor([[[-20.0], [20], [-20], [20]], [[1], [2], [3], [4]]]).unsqueeze(3)
    assert float(presence_loss(logits, labels)) == pytest.approx(0, abs=1e-6)
    logits[0, 1] = 0
    assert float(presence_loss(logits, labels)) == pytest.approx(math.log(2) / CLASSES, rel=ROUNDING)
    assert float(presence_loss(logits[1:], labels[1:])) == 0
    main = torch.zeros(2, CLASSES, 4, 4)
    torch.manual_seed(0)
    alone = float(Criterion(WEIGHTS, 0.4)([main], labels))
    torch.manual_seed(0)
    whole = float(Criterion(WEIGHTS, 0.4)([main, logits], labels))
    assert whole - alone == pytest.approx(0.2 * math.log(2) / CLASSES, rel=1e-4)


def test_class_weights_follow_their_formulas() -> None:
    images = [np.array([[0, 0, 0, 1]], np.uint8), np.array([[0, 2, 2, 255]], np.uint8)]
    counts = counts_from_labels(images, CLASSES)
    shares, frequency = np.array([4, 1, 2, 0]) / 7, np.array([4 / 7, 1 / 4, 2 / 3])
    log = 1 / np.log(1.02 + shares)
    median = np.append(np.median(frequency) / frequency, 1.0)
    for rule, expected in (("log", log), ("median", median)):
        for balance in (0.0, 0.4, 1.0):
            scaled = expected**balance / (expected**balance).mean()
            weights = balanced_class_weights(counts, balance, rule).numpy()
            np.testing.assert_allclose(weights, scaled, rtol=1e-5)  # logarithms near 0.02 in float32


def test_a_term_is_a_text() -> None:
    texts = ["lovasz", "dice=0.5", "focal=2?gamma=3", "ohem?probability=0.7", "boundary?sigma=5"]
    assert texts_of(texts) == ("ohem", "focal=2?gamma=3", "boundary", "dice=0.5", "lovasz")
    assert texts_of(texts_of(texts)) == texts_of(texts)
    assert texts_from_numbers(0.0, 0.0) == ("cross_entropy",)
    assert texts_from_numbers(0.6, 1.0) == ("ohem?probability=0.6", "dice")
    assert term_from_text("focal=2?gamma=3").loss.gamma == 3


@pytest.mark.parametrize(
    ("texts", "error", "word"),
    [
        (["focus"], UnknownNameError, "focal"),
        (["focal?gama=2"], UnknownNameError, "gamma"),
        (["dice?gamma=2"], UnknownNameError, "no options"),
        (["dice=0"], FormatError, "dice"),
        (["dice=much"], FormatError, "dice"),
        (["dice=inf"], FormatError, "dice"),
        (["ohem?probability=1.5"], FormatError, "probability"),
        (["focal?gamma="], FormatError, "gamma"),
        (["dice", "dice=2"], MismatchError, "dice"),
    ],
)
def test_mistakes(texts: list[str], error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=word):
        terms_from_texts(texts)
