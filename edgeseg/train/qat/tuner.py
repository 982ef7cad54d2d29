"""The steps of one fine-tuning: each depends on the seed, its number and the weights alone, so it can be resumed."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgeseg.errors import DataError, FormatError, MismatchError
from edgeseg.spec import ModelSpec
from edgeseg.train.augment import Augmentation
from edgeseg.train.checkpoint import without_place, write_checkpoint
from edgeseg.train.loop import Draw
from edgeseg.train.loss import IGNORE, Criterion, balanced_class_weights, divergence
from edgeseg.train.qat.config import QatConfig
from edgeseg.train.qat.graph import TorchGraph, Weights

CLIP = 1.0  # largest norm of a step's gradient
COUNTED = 64  # pictures that tell how common a class is


class Tuner:
    """Weights on their way. student: rounds them; teacher: the float graph as it was.

    origin: what a checkpoint must be of: SHA-256 of the files that the graphs were made from.
    """

    def __init__(
        self,
        student: TorchGraph,
        teacher: TorchGraph,
        weights: Weights,
        spec: ModelSpec,
        config: QatConfig,
        draw: Draw,
        origin: Mapping[str, str],
    ) -> None:
        self.student, self.teacher, self.weights = student, teacher, weights
        self.config, self.draw, self.origin = config, draw, origin
        size = (spec.input.height, spec.input.width)
        self.augmentation = Augmentation(size, size, scale=config.scale, colour=config.colour)
        self.optimizer = torch.optim.Adam(list(weights.values()), lr=config.learning_rate, foreach=True)
        self.criterion = Criterion(self._class_weights(len(spec.labels)), align_corners=spec.align_corners)
        self.done, self.seconds = 0, 0.0

    def step(self, hold: contextlib.AbstractContextManager[Any]) -> float:
        """One batch; its loss. hold: keeps Ctrl-C out while the weights change.

        The pictures go through one by one: a deploy graph has a batch of one.
        """
        rng = np.random.default_rng((self.config.seed, self.done))
        torch.manual_seed(self.config.seed * 1_000_003 + self.done)
        self.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for _ in range(self.config.batch):
            loss = self.loss(*self.augmentation.apply(*self.draw(rng), rng)) / self.config.batch
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        norm = float(torch.nn.utils.clip_grad_norm_(self.weights.values(), CLIP))
        for what, value in (("loss", total), ("gradient", norm)):
            if not math.isfinite(value):
                raise DataError(
                    f"the {what} became {value} at step {self.done}",
                    hint="use a smaller learning rate, and calibrate on images like those of the training",
                )
        with hold:
            self.optimizer.step()
            self.done += 1
        return total

    def loss(self, rgb: np.ndarray, labels: np.ndarray) -> Tensor:
        """What is minimised, of one picture (H, W, 3) of the graph's size and its labels (H, W)."""
        frame = torch.from_numpy(np.ascontiguousarray(rgb[None]))
        logits = self.student(frame, self.weights)
        loss = torch.zeros(())
        if self.config.distill:
            with torch.no_grad():
                target = self.teacher(frame)
            loss = loss + self.config.distill * divergence(logits, target).mean()
        if self.config.supervise:
            truth = torch.from_numpy(labels[None]).long()
            loss = loss + self.config.supervise * self.criterion([logits], truth)
        return loss

    def set_rate(self, done: float) -> None:
        """The learning rate after the share `done` of the work: half a cosine."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * (1 + math.cos(math.pi * min(done, 1.0))) / 2

    def save(self, path: Path) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {
            "weights": {name: weight.detach() for name, weight in self.weights.items()},
            "optimizer": self.optimizer.state_dict(),
            "done": self.done,
            "seconds": self.seconds,
            "of": self.identity(),
        }
        write_checkpoint(path, state)

    def resume(self, path: Path) -> bool:
        """Go on from the checkpoint, if there is one. MismatchError where it is of another fine-tuning."""
        if not path.exists():
            return False
        hint = f"delete {path}, or name another folder with -o"
        try:
            state = torch.load(path, weights_only=True)
            own, other = self.identity(), dict(state["of"])
        except (UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError) as problem:
            raise FormatError(f"{path.name} is no checkpoint of a fine-tuning", hint=hint) from problem
        different = [key for key in own if other.get(key) != own[key]]
        if different:
            raise MismatchError(f"{path.name} is of another fine-tuning: its {different[0]} differs", hint=hint)
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(state["weights"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.done, self.seconds = int(state["done"]), float(state["seconds"])
        return True

    def identity(self) -> dict[str, Any]:
        """What two runs must have in common for one to go on where the other stopped; not how long they may take."""
        config = dataclasses.asdict(self.config)
        config["data"] = tuple((without_place(uri), share) for uri, share in self.config.data)
        return {**self.origin, **{key: config[key] for key in config if key not in ("minutes", "every")}}

    def _class_weights(self, classes: int) -> Tensor:
        if not (self.config.supervise and self.config.balance):
            return torch.ones(classes)
        rng = np.random.default_rng((self.config.seed, 1 << 30))
        counts = sum(np.bincount(self.draw(rng)[1].ravel(), minlength=IGNORE + 1) for _ in range(COUNTED))
        judged = torch.tensor(np.asarray(counts)[:classes], dtype=torch.float32)
        return balanced_class_weights(judged / judged.sum(), self.config.balance)
