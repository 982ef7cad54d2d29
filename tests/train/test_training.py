from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgeseg.errors import FormatError  # noqa: E402
from edgeseg.train.augment import Augmentation  # noqa: E402
from edgeseg.train.config import TrainConfig, learning_rate_at  # noqa: E402
from edgeseg.train.loop import Pair, Trainer  # noqa: E402
from edgeseg.train.loss import Criterion, thinned  # noqa: E402
from edgeseg.train.losses import LOSSES, terms_from_texts  # noqa: E402
from edgeseg.train.recipe import draw_from, spec_from_config, without_paths  # noqa: E402
from edgeseg.weights.file import spec_from_weights, state_from_weights, write_weights  # noqa: E402

CONFIG = TrainConfig(
    name="tiny", family="bisenetv2", variant="light", size=(64, 96), crop=(64, 64), steps=6, batch=2, warm_up=2,
    data=(("street:?seed=1&scenes=2&frames=2&size=96x64", 1.0),),
)  # fmt: skip


RICH = dataclasses.replace(
    CONFIG, family="liteseg", variant="tiny", encoder_rate=0.1, paste=0.5, loss=("cross_entropy?smoothing=0.1",)
)


def trainer(folder: Path, config: TrainConfig = CONFIG) -> Trainer:
    folder.mkdir(exist_ok=True)
    return Trainer(config, spec_from_config(config), draw_from(config), folder)


@pytest.mark.parametrize("config", [CONFIG, RICH], ids=["plain", "rich"])
def test_a_killed_training_ends_with_the_same_weights(tmp_path: Path, config: TrainConfig) -> None:
    whole = trainer(tmp_path / "whole", config)
    losses = [whole.train_step() for _ in range(config.steps)]
    first = trainer(tmp_path / "killed", config)
    assert not first.resume()
    again = [first.train_step() for _ in range(3)]
    first.save()
    first.train_step()  # what a kill loses
    second = trainer(tmp_path / "killed", config)
    assert second.resume()
    assert second.step == 3
    again += [second.train_step() for _ in range(3)]
    assert again == losses
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, second.average.state_dict()[name]), name


def test_the_learning_rate_rises_then_falls() -> None:
    rates = [learning_rate_at(step, CONFIG) for step in range(CONFIG.steps)]
    assert rates[:2] == [CONFIG.learning_rate / 2, CONFIG.learning_rate]
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] > 0


def test_training_starts_from_the_weights_that_fit(tmp_path: Path) -> None:
    source, target = trainer(tmp_path), trainer(tmp_path)
    torch.nn.init.constant_(source.network.detail[0][0].weight, 0.5)
    state = {key: value for key, value in source.network.state_dict().items() if not key.startswith("head.2")}
    before = target.network.head[2].weight.clone()
    target.load_initial_weights(state)
    assert torch.all(target.network.detail[0][0].weight == 0.5)
    assert torch.all(target.average.detail[0][0].weight == 0.5)
    assert torch.equal(target.network.head[2].weight, before)


def test_weights_say_what_they_are(tmp_path: Path) -> None:
    spec = spec_from_config(CONFIG)
    state = {"a.weight": torch.tensor([1.0, 1 / 3]), "a.num_batches_tracked": torch.tensor(7)}
    path = tmp_path / "w.safetensors"
    write_weights(path, state, spec, CONFIG)
    assert spec_from_weights(path) == spec
    loaded = state_from_weights(path)
    assert loaded["a.weight"].dtype == torch.float32
    assert torch.equal(loaded["a.weight"], state["a.weight"].half().float())
    assert loaded["a.num_batches_tracked"] == 7


def test_a_text_file_is_no_weights(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_text("these are not weights")
    for read in (spec_from_weights, state_from_weights):
        with pytest.raises(FormatError, match="weights"):
            read(path)


def loss_of(
    logits: list[torch.Tensor], labels: torch.Tensor, name: str = "cross_entropy", weight: float = 0.4
) -> float:
    torch.manual_seed(0)  # which pixels are judged
    return float(Criterion(torch.tensor([1.0, 2.0, 0.5]), weight, terms_from_texts([name]))(logits, labels))


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_pixels_do_not_count(name: str) -> None:
    logits = torch.randn(1, 3, 4, 4)
    labels = torch.randint(0, 3, (1, 16, 16))
    half = labels.clone()
    half[:, :, 8:] = 255
    loss = loss_of([logits], half, name)
    changed = logits.clone()
    changed[..., 3:] += 5.0  # bilinear weights of the left half reach no further than column 2
    assert loss == loss_of([changed], half, name)
    assert loss != loss_of([logits], labels, name)
    assert loss_of([logits], torch.full_like(labels, 255), name) == 0


def test_further_heads_weigh_less() -> None:
    main, head = torch.randn(1, 3, 8, 8), torch.zeros(1, 3, 4, 4)
    labels = torch.randint(0, 3, (1, 16, 16))
    extra = loss_of([main, head], labels, weight=0.5) - loss_of([main], labels)
    assert extra == pytest.approx(0.5 * float(torch.log(torch.tensor(3.0))), rel=1e-5)


def test_each_pixel_of_a_block_is_judged_as_often() -> None:
    labels = torch.arange(16).view(1, 4, 4)
    counts = torch.cat([thinned(labels, torch.ones(3), 2).labels for _ in range(200)]).flatten().bincount(minlength=16)
    assert thinned(labels, torch.ones(3), 2).labels.shape == (1, 2, 2)
    assert int(counts.min()) > 25  # 200 draws of one in four: 50 each, and 25 is four deviations below


@pytest.mark.parametrize("scale", [(0.3, 0.4), (1.0, 1.0), (1.5, 2.0)])
def test_an_augmented_pair_has_the_crops_size_and_no_new_label(scale: tuple[float, float]) -> None:
    augmentation = Augmentation((64, 96), (64, 64), scale=scale)
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (50, 70, 3), dtype=np.uint8)
    labels = rng.choice(np.array([0, 3, 7], np.uint8), (50, 70))
    first: Pair = augmentation.apply(rgb, labels, np.random.default_rng(5))
    again = augmentation.apply(rgb, labels, np.random.default_rng(5))
    assert first[0].shape == (64, 64, 3)
    assert first[1].shape == (64, 64)
    assert set(np.unique(first[1])) <= {0, 3, 7, 255}
    assert (255 in first[1]) == (scale[1] < 1)
    assert all(np.array_equal(a, b) for a, b in zip(first, again))


def test_the_recipe_is_plain_data_and_is_published_without_paths(tmp_path: Path) -> None:
    assert TrainConfig(**dataclasses.asdict(CONFIG)) == CONFIG
    for part in ("images", "labels"):
        (tmp_path / "train" / part).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "train" / part / "0.png"), np.zeros((8, 8), np.uint8))
    config = dataclasses.replace(CONFIG, data=((f"camvid:{tmp_path}?split=train", 1.0),))
    assert without_paths(config).data == (("camvid:?split=train", 1.0),)
