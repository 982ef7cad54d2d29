"""The training loop: resumable to the step, with averaged weights, in the number format that the device is best at."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgeseg.errors import DataError
from edgeseg.models import open_family
from edgeseg.spec import ModelSpec
from edgeseg.train import checkpoint
from edgeseg.train.augment import Augmentation
from edgeseg.train.average import update_average
from edgeseg.train.batches import Batch, Batches
from edgeseg.train.config import TrainConfig
from edgeseg.train.device import PRECISIONS
from edgeseg.train.loss import IGNORE, Criterion, balanced_class_weights, distillation
from edgeseg.train.normalise import Normalise
from edgeseg.train.schedule import learning_rate_at
from edgeseg.train.teacher import Teacher

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]
Draw = Callable[[np.random.Generator], Pair]
CPU = torch.device("cpu")
SHARES_FROM = 200  # pictures


class Trainer:
    """One training. `draw` gives a random picture (H, W, 3) with its labels (H, W) from the generator it is handed.

    workers: batches made ahead in threads; `draw` is then called by several at once.
    teacher: its answers are learnt from too, with the weight `distill` of the recipe.
    about: plain data that goes into the checkpoint and comes back from it.
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
        self.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).eval()
        self.optimizer = torch.optim.AdamW(
            weight_groups(self.network, config.weight_decay), lr=config.learning_rate, foreach=True
        )
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        self.augmentation = augmentation_of(config)
        weights = balanced_class_weights(self._class_shares(), config.balance).to(device)
        self.criterion = Criterion(weights, config.auxiliary, config.ohem, config.dice, spec.align_corners)
        self.normalise, self.teacher = Normalise(spec.input, device), teacher
        self.batches = Batches(self._batch, workers)
        self.step = 0
        self.about: dict[str, Any] = {}

    @property
    def checkpoint(self) -> Path:
        """Where the state lies from which a killed training goes on."""
        return self.folder / checkpoint.NAME

    def start_from(self, state: dict[str, Tensor]) -> None:
        """Begin with these weights; heads (of another number of classes, or auxiliary) may be missing."""
        own = self.network.state_dict()
        fitting = {k: v.to(own[k].dtype) for k, v in state.items() if k in own and own[k].shape == v.shape}
        self.network.load_state_dict(fitting, strict=False)
        self.average.load_state_dict(self.network.state_dict())

    def resume(self) -> bool:
        """Go on from the checkpoint, if there is one. MismatchError where it is of another recipe."""
        state = checkpoint.read_checkpoint(self.checkpoint)
        if state is None:
            return False
        checkpoint.check_same(self.config, checkpoint.config_in(state), self.checkpoint)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state.get("scaler", {}))
        self.step = int(state["step"])
        self.about = dict(state.get("about", {}))
        return True

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        checkpoint.write_checkpoint(
            self.checkpoint,
            {
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "step": self.step,
                "config": dataclasses.asdict(self.config),
                "about": self.about,
            },
        )

    def train_step(self) -> float:
        """One batch. The batch and dropout depend on seed and step alone, so a resumed training does the same.

        DataError where the loss or a gradient is not finite; the weights are then those of the step before.
        """
        torch.manual_seed(self.config.seed * 1_000_003 + self.step)
        images, labels = (part.to(self.device, non_blocking=True) for part in self.batches(self.step))
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        precision = self.config.precision
        with torch.autocast(self.device.type, PRECISIONS[precision], enabled=precision != "fp32"):
            logits = self.network(self.normalise(images))
            target = self.teacher(images) if self.teacher else None
        heads = logits if isinstance(logits, list) else [logits]
        loss = self.criterion(heads, labels)
        if target is not None:
            loss = loss + self.config.distill * distillation(heads[0], target, labels, self.spec.align_corners)
        self._descend(loss)
        self.step += 1
        update_average(self.average, self.network, self.config.ema, self.step)
        return float(loss.detach())

    def learning_rate(self) -> float:
        """That of the next step."""
        return learning_rate_at(self.step, self.config)

    def _descend(self, loss: Tensor) -> None:
        """Follow the gradient of `loss`, clipped."""
        self._check_finite("loss", float(loss.detach()))
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        if not self.scaler.is_enabled():  # which passes such steps over, and scales less
            self._check_finite("gradient", float(norm))
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def _check_finite(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            raise DataError(
                f"the {what} is {value} at step {self.step + 1}, learning rate {self.learning_rate():.3g}",
                hint=f"begin anew with --restart and a lower --learning-rate; {self.checkpoint} is of a step before",
            )

    def _batch(self, step: int) -> Batch:
        rng = np.random.default_rng((self.config.seed, step))
        pairs = [self.augmentation.apply(*self.draw(rng), rng) for _ in range(self.config.batch)]
        images = torch.from_numpy(np.stack([rgb for rgb, _ in pairs])).permute(0, 3, 1, 2).float()
        labels = torch.from_numpy(np.stack([labels for _, labels in pairs])).long()
        return images.contiguous(memory_format=torch.channels_last), labels

    def _class_shares(self) -> Tensor:
        rng = np.random.default_rng((self.config.seed, 1 << 30))
        counts = sum(np.bincount(self.draw(rng)[1].ravel(), minlength=IGNORE + 1) for _ in range(SHARES_FROM))
        judged = torch.tensor(np.asarray(counts)[: len(self.spec.labels)], dtype=torch.float32)
        if not judged.sum():
            raise DataError(
                f"no pixel has a class in {SHARES_FROM} pictures of {', '.join(uri for uri, _ in self.config.data)}",
                hint="look at the label files: all their pixels are of the ignored id",
            )
        return judged / judged.sum()


def augmentation_of(config: TrainConfig) -> Augmentation:
    """The augmentation that a recipe asks for."""
    names = [field.name for field in dataclasses.fields(Augmentation)]
    return Augmentation(**{name: getattr(config, name) for name in names})


def weight_groups(network: nn.Module, weight_decay: float) -> Sequence[dict[str, object]]:
    """Parameters with weight decay (matrices and kernels) and without (norms and biases)."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
