"""The training loop: resumable to the step, with averaged weights, in bf16 where the CPU has it."""

from __future__ import annotations

import copy
import csv
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgeseg.files import whole_file
from edgeseg.models import open_family
from edgeseg.spec import ModelSpec
from edgeseg.train.augment import Augmentation
from edgeseg.train.config import TrainConfig
from edgeseg.train.loss import IGNORE, balanced_class_weights, segmentation_loss

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]
Draw = Callable[[np.random.Generator], Pair]


class Trainer:
    """One training. `draw` gives a random picture (H, W, 3) with its labels (H, W) from the generator it is handed."""

    def __init__(self, config: TrainConfig, spec: ModelSpec, draw: Draw, folder: Path) -> None:
        torch.manual_seed(config.seed)
        self.config, self.spec, self.draw, self.folder = config, spec, draw, folder
        self.network = open_family(config.family).build(spec, training=True)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).eval()
        self.optimizer = torch.optim.AdamW(
            weight_groups(self.network, config.weight_decay), lr=config.learning_rate, foreach=True
        )
        self.augmentation = Augmentation(config.size, config.crop, scale=config.scale, colour=config.colour)
        self.class_weights = balanced_class_weights(self._class_shares(), config.balance)
        self.mean = torch.tensor(spec.input.mean).view(1, 3, 1, 1) * 255
        self.std = torch.tensor(spec.input.std).view(1, 3, 1, 1) * 255
        self.step = 0

    @property
    def checkpoint(self) -> Path:
        """Where the state lies from which a killed training goes on."""
        return self.folder / "checkpoint.pt"

    def start_from(self, state: dict[str, Tensor]) -> None:
        """Begin with these weights; heads (of another number of classes, or auxiliary) may be missing."""
        own = self.network.state_dict()
        fitting = {k: v.to(own[k].dtype) for k, v in state.items() if k in own and own[k].shape == v.shape}
        self.network.load_state_dict(fitting, strict=False)
        self.average.load_state_dict(self.network.state_dict())

    def resume(self) -> bool:
        """Go on from the checkpoint, if there is one."""
        if not self.checkpoint.exists():
            return False
        state = torch.load(self.checkpoint, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = int(state["step"])
        return True

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "config": dataclasses.asdict(self.config),
        }
        with whole_file(self.checkpoint) as partial:
            torch.save(state, partial)

    def train_step(self) -> float:
        """One batch. The batch and dropout depend on seed and step alone, so a resumed training does the same."""
        torch.manual_seed(self.config.seed * 1_000_003 + self.step)
        images, labels = self._batch(np.random.default_rng((self.config.seed, self.step)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.network((images - self.mean) / self.std)
        heads = logits if isinstance(logits, list) else [logits]
        loss = segmentation_loss(heads, labels, self.class_weights, self.config.auxiliary)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        self._update_average()
        return float(loss.detach())

    def learning_rate(self) -> float:
        """Linear warm-up, then polynomial decay with power 0.9."""
        if self.step < self.config.warm_up:
            return self.config.learning_rate * (self.step + 1) / self.config.warm_up
        done = (self.step - self.config.warm_up) / max(1, self.config.steps - self.config.warm_up)
        return self.config.learning_rate * float(max(1.0 - done, 1e-4) ** 0.9)

    def log(self, row: dict[str, float]) -> None:
        """Append a row to log.csv."""
        path = self.folder / "log.csv"
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            if fresh:
                writer.writeheader()
            writer.writerow(row)

    def _batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        pairs = [self.augmentation.apply(*self.draw(rng), rng) for _ in range(self.config.batch)]
        images = torch.from_numpy(np.stack([rgb for rgb, _ in pairs])).permute(0, 3, 1, 2).float()
        labels = torch.from_numpy(np.stack([labels for _, labels in pairs])).long()
        return images.contiguous(memory_format=torch.channels_last), labels

    def _class_shares(self) -> Tensor:
        rng = np.random.default_rng((self.config.seed, 1 << 30))
        counts = sum(np.bincount(self.draw(rng)[1].ravel(), minlength=IGNORE + 1) for _ in range(200))
        judged = torch.tensor(np.asarray(counts)[: len(self.spec.labels)], dtype=torch.float32)
        return judged / judged.sum()

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        for mean, value in zip(self.average.state_dict().values(), self.network.state_dict().values()):
            if mean.dtype.is_floating_point:
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)


def weight_groups(network: nn.Module, weight_decay: float) -> Sequence[dict[str, object]]:
    """Parameters with weight decay (matrices and kernels) and without (norms and biases)."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
