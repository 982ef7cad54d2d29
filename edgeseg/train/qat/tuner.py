"""The steps of one fine-tuning: each depends on seed, step number and weights alone, so it can be resumed."""

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
from edgeseg.train.loss import Criterion, divergence
from edgeseg.train.losses.class_weights import balanced_class_weights, counts_from_labels
from edgeseg.train.qat.config import QatConfig
from edgeseg.train.qat.graph import TorchGraph, Weights

CLIP = 1.0  # largest norm of a step's gradient
COUNTED_IMAGES = 64  # to measure the share of each class


class Tuner:
    """The weights and their optimizer. student: the graph that rounds the weights. teacher: the float graph.

    inputs_sha256: of the files that the graphs were made from; a checkpoint must have the same.
    """

    def __init__(
        self,
        student: TorchGraph,
        teacher: TorchGraph,
        weights: Weights,
        spec: ModelSpec,
        config: QatConfig,
        draw: Draw,
        inputs_sha256: Mapping[str, str],
    ) -> None:
        self.student, self.teacher, self.weights = student, teacher, weights
        self.config, self.draw, self.inputs_sha256 = config, draw, inputs_sha256
        size = (spec.input.height, spec.input.width)
        self.augmentation = Augmentation(size, size, scale=config.scale, colour=config.colour)
        self.optimizer = torch.optim.Adam(list(weights.values()), lr=config.learning_rate, foreach=True)
        self.criterion = Criterion(self._class_weights(len(spec.labels)), align_corners=spec.align_corners)
        self.steps_done, self.seconds = 0, 0.0

    def step(self, hold: contextlib.AbstractContextManager[Any]) -> float:
        """One batch; its loss. hold: delays Ctrl-C while the weights change.

        Images are processed one by one: a deploy graph has a batch of one.
        """
        rng = np.random.default_rng((self.config.seed, self.steps_done))
        torch.manual_seed(self.config.seed * 1_000_003 + self.steps_done)
        self.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for _ in range(self.config.batch):
            loss = self.loss(*self.augmentation.apply(*self.draw(rng), rng)) / self.config.batch
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        norm = float(torch.nn.utils.clip_grad_norm_(self.weights.values(), CLIP))
        for name, value in (("loss", total), ("gradient", norm)):
            if not math.isfinite(value):
                raise DataError(
                    f"the {name} is {value} at step {self.steps_done}",
                    hint="use a smaller learning rate, and calibrate on images like the training images",
                    code="ES-DATA-DIVERGED",
                )
        with hold:
            self.optimizer.step()
            self.steps_done += 1
        return total

    def loss(self, rgb: np.ndarray, labels: np.ndarray) -> Tensor:
        """The loss of one image (H, W, 3) of the graph's size and its labels (H, W)."""
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

    def set_rate(self, completed: float) -> None:
        """Set the learning rate after the share `completed` of the steps or time: half a cosine."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * (1 + math.cos(math.pi * min(completed, 1.0))) / 2

    def save(self, path: Path) -> None:
        """Write the checkpoint atomically."""
        state = {
            "weights": {name: weight.detach() for name, weight in self.weights.items()},
            "optimizer": self.optimizer.state_dict(),
            "done": self.steps_done,
            "seconds": self.seconds,
            "of": self.identity(),
        }
        write_checkpoint(path, state)

    def resume(self, path: Path) -> bool:
        """Load the checkpoint, if there is one. MismatchError where it is that of another fine-tuning."""
        if not path.exists():
            return False
        hint = f"delete {path}, or name another folder with -o"
        try:
            state = torch.load(path, weights_only=True)
            own, other = self.identity(), dict(state["of"])
        except (UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError) as problem:
            raise FormatError(
                f"{path.name} is not a fine-tuning checkpoint", hint=hint, code="ES-FORMAT-CHECKPOINT"
            ) from problem
        different = [key for key in own if other.get(key) != own[key]]
        if different:
            message = f"{path.name} is that of another fine-tuning: {', '.join(different)} differ"
            raise MismatchError(message, hint=hint, code="ES-MISMATCH-RUN")
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(state["weights"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps_done, self.seconds = int(state["done"]), float(state["seconds"])
        return True

    def identity(self) -> dict[str, Any]:
        """What a checkpoint and a run must have in common; the time limit may differ."""
        config = dataclasses.asdict(self.config)
        config["data"] = tuple((without_place(uri), share) for uri, share in self.config.data)
        return {**self.inputs_sha256, **{key: config[key] for key in config if key not in ("minutes", "every")}}

    def _class_weights(self, classes: int) -> Tensor:
        if not (self.config.supervise and self.config.balance):
            return torch.ones(classes)
        rng = np.random.default_rng((self.config.seed, 1 << 30))
        counts = counts_from_labels((self.draw(rng)[1] for _ in range(COUNTED_IMAGES)), classes)
        return balanced_class_weights(counts, self.config.balance)
