"""The training loop: resumable to the step, with averaged weights, in the number format that the device is best at."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from edgeseg.errors import DataError
from edgeseg.models import open_family
from edgeseg.spec import ModelSpec
from edgeseg.train import checkpoint
from edgeseg.train.augment import Augmentation
from edgeseg.train.batches import Batch, Batches, Normalise
from edgeseg.train.config import TrainConfig, learning_rate_at
from edgeseg.train.depthwise import use_fp32_gradients
from edgeseg.train.device import PRECISIONS, memory_format_for
from edgeseg.train.loss import Criterion, distillation
from edgeseg.train.losses import terms_from_texts
from edgeseg.train.losses.class_weights import ClassCounts, balanced_class_weights, counts_from_labels
from edgeseg.train.paste import paste_rare, rare_classes
from edgeseg.train.teacher import Teacher

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]
Draw = Callable[[np.random.Generator], Pair]
CPU = torch.device("cpu")
COUNTED_IMAGES = 200  # to measure the share of each class


class Trainer:
    """One training. `draw` returns a random image (H, W, 3) with its labels (H, W), chosen by a generator.

    workers: batches made ahead in threads; several threads then call `draw` at once.
    teacher: for distillation, with the weight `distill` of the recipe.
    metadata: plain data that the checkpoint keeps.
    """

    def __init__(
        self,
        config: TrainConfig,
        spec: ModelSpec,
        draw: Draw,
        folder: Path,
        *,
        device: torch.device = CPU,
        workers: int = 0,
        teacher: Teacher | None = None,
    ) -> None:
        torch.manual_seed(config.seed)
        self.config, self.spec, self.draw, self.folder, self.device = config, spec, draw, folder, device
        self.network = open_family(config.family).build(spec, training=True)
        self.memory_format = memory_format_for(self.network, config.precision, device)
        self.network.to(device, memory_format=self.memory_format)  # type: ignore[call-overload]
        if config.precision == "bf16" and device.type == "cpu":
            use_fp32_gradients(self.network)
        self.average = copy.deepcopy(self.network).eval()
        self.optimizer = torch.optim.AdamW(groups_of(self.network, config), lr=config.learning_rate, foreach=True)
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        self.augmentation = augmentation_of(config)
        counts = self._class_counts()
        self.rare = rare_classes(counts)
        weights = balanced_class_weights(counts, config.balance, config.class_weights).to(device)
        self.criterion = Criterion(weights, config.auxiliary, terms_from_texts(config.loss), spec.align_corners)
        self.normalise, self.teacher = Normalise(spec.input, device), teacher
        self.batches = Batches(self._batch, workers)
        self.step = 0
        self.metadata: dict[str, Any] = {}

    @property
    def checkpoint(self) -> Path:
        """The file from which an interrupted training resumes."""
        return self.folder / checkpoint.NAME

    def load_initial_weights(self, state: dict[str, Tensor]) -> None:
        """Start from these weights; heads (of another number of classes, or auxiliary) may be missing."""
        own = self.network.state_dict()
        fitting = {k: v.to(own[k].dtype) for k, v in state.items() if k in own and own[k].shape == v.shape}
        self.network.load_state_dict(fitting, strict=False)
        self.average.load_state_dict(self.network.state_dict())

    def resume(self) -> bool:
        """Load the checkpoint, if there is one. MismatchError where its recipe differs."""
        state = checkpoint.read_checkpoint(self.checkpoint)
        if state is None:
            return False
        checkpoint.check_same(self.config, checkpoint.config_in(state), self.checkpoint)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state.get("scaler", {}))
        self.step = int(state["step"])
        self.metadata = dict(state.get("metadata", {}))
        return True

    def save(self) -> None:
        """Write the checkpoint atomically."""
        checkpoint.write_checkpoint(
            self.checkpoint,
            {
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "step": self.step,
                "config": dataclasses.asdict(self.config),
                "metadata": self.metadata,
            },
        )

    def train_step(self) -> float:
        """Learn from one batch; its loss. Batch and dropout depend on seed and step alone, so training is resumable.

        DataError where the loss or a gradient is not finite; the weights are then those of the previous step.
        """
        torch.manual_seed(self.config.seed * 1_000_003 + self.step)
        images, labels = (part.to(self.device, non_blocking=True) for part in self.batches(self.step))
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate() * group.get("rate", 1.0)  # older checkpoints have no rate
        precision = self.config.precision
        with torch.autocast(self.device.type, PRECISIONS[precision], enabled=precision != "fp32"):
            logits = self.network(self.normalise(images))
            target = self.teacher(images) if self.teacher else None
        heads = logits if isinstance(logits, list) else [logits]
        loss = self.criterion(heads, labels)
        if target is not None:
            loss = loss + self.config.distill * distillation(heads[0], target, labels, self.spec.align_corners)
        self._update_weights(loss)
        self.step += 1
        update_average(self.average, self.network, self.config.ema, self.step)
        return float(loss.detach())

    def learning_rate(self) -> float:
        """The rate of the next step."""
        return learning_rate_at(self.step, self.config)

    def _update_weights(self, loss: Tensor) -> None:
        """One optimizer step along the clipped gradient of `loss`."""
        self._check_finite("loss", float(loss.detach()))
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        if not self.scaler.is_enabled():  # the scaler skips such steps and lowers its scale
            self._check_finite("gradient", float(norm))
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def _check_finite(self, name: str, value: float) -> None:
        if not math.isfinite(value):
            raise DataError(
                f"the {name} is {value} at step {self.step + 1}, learning rate {self.learning_rate():.3g}",
                hint=f"start again with --restart and a lower --learning-rate; {self.checkpoint} holds an earlier step",
                code="ES-DATA-DIVERGED",
            )

    def _batch(self, step: int) -> Batch:
        rng = np.random.default_rng((self.config.seed, step))
        pairs = [self.augmentation.apply(*self.draw(rng), rng) for _ in range(self.config.batch)]
        if self.config.paste:
            pairs = paste_rare(pairs, self.rare, self.config.paste, rng)
        images = torch.from_numpy(np.stack([rgb for rgb, _ in pairs])).permute(0, 3, 1, 2).float()
        labels = torch.from_numpy(np.stack([labels for _, labels in pairs])).long()
        return images.contiguous(memory_format=self.memory_format), labels

    def _class_counts(self) -> ClassCounts:
        rng = np.random.default_rng((self.config.seed, 1 << 30))
        counts = counts_from_labels((self.draw(rng)[1] for _ in range(COUNTED_IMAGES)), len(self.spec.labels))
        if not counts.pixels.sum():
            raise DataError(
                f"no pixel has a class in {COUNTED_IMAGES} images of {', '.join(uri for uri, _ in self.config.data)}",
                hint="check the label files: all pixels have the ignored id",
                code="ES-DATA-UNLABELLED",
            )
        return counts


def augmentation_of(config: TrainConfig) -> Augmentation:
    """The augmentation of a recipe."""
    names = [field.name for field in dataclasses.fields(Augmentation)]
    return Augmentation(**{name: getattr(config, name) for name in names})


def groups_of(network: nn.Module, config: TrainConfig) -> list[dict[str, object]]:
    """The network's parameters; those of its encoder apart where they have another learning rate."""
    encoder = open_family(config.family).encoder
    if encoder is None or config.encoder_rate == 1:
        return weight_groups(network.parameters(), config.weight_decay)
    inside = list(network.get_submodule(encoder.module).parameters())
    known = set(map(id, inside))
    outside = [p for p in network.parameters() if id(p) not in known]
    rates = ((outside, 1.0), (inside, config.encoder_rate))
    return [{**group, "rate": rate} for ps, rate in rates for group in weight_groups(ps, config.weight_decay)]


def weight_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, object]]:
    """Parameters with weight decay (matrices and kernels) and without (norms and biases)."""
    parameters = list(parameters)
    decayed = [p for p in parameters if p.ndim > 1]
    others = [p for p in parameters if p.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move `average` towards `network` after `step` steps: faster at first, when the weights are still random."""
    decay = min(decay, (1 + step) / (10 + step))
    pairs = list(zip(average.state_dict().values(), network.state_dict().values()))
    floating = [pair for pair in pairs if pair[0].dtype.is_floating_point]
    means, values = map(list, zip(*floating))
    get_ema_multi_avg_fn(decay)(means, values, step)  # type: ignore[no-untyped-call]  # all in a few launches
    for mean, value in pairs:
        if not mean.dtype.is_floating_point:
            mean.copy_(value)
