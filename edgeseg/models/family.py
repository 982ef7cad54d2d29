"""The description of a family of networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.errors import FormatError, MismatchError
from edgeseg.models.encoder import Encoder
from edgeseg.models.variant import arguments_from_text
from edgeseg.spec import ModelSpec, SizeRule

State = Mapping[str, Tensor]
GROUPS = ("real-time", "encoder-decoder", "context", "attention", "transformer", "points")
COUNTER = ".num_batches_tracked"  # of a batch norm: files of torch before 0.4.1 lack it, and inference ignores it
TINY = "tiny"  # the variant of many families that only tests use: the structure, with few channels and blocks


@dataclass(frozen=True)
class Reference:
    """What the paper and its reference implementation report.

    result: the figure and its conditions, "Cityscapes test 77.4 mIoU; 102 FPS at 2048x1024 (RTX 2080 Ti)".
    counts: variant -> (millions of parameters, billions of multiply-adds) of the reference implementation without
        heads that only training needs; None where it computes the same in another way.
    size, classes: WIDTHxHEIGHT and number of classes of `counts`.
    licence: SPDX identifier of the reference implementation, which its weights share unless said otherwise.
    """

    result: str
    counts: Mapping[str, tuple[float, float | None]]
    licence: str
    size: tuple[int, int] = (1024, 512)
    classes: int = 19


@dataclass(frozen=True)
class Family:
    """A family of networks.

    group: one of GROUPS.
    variants: name -> keyword arguments of `module`, all of them, the first one being the default. A spec's variant
        may change some: "base?head=256".
    module: builds the network, `module(num_classes, auxiliary=bool, **variant)`; its forward takes (N, 3, H, W) float
        and gives logits (N, C, h, w), in training mode a list of them, the main one first.
    auxiliary: prefixes of the weights that only training needs.
    stride: input pixels per logit in each direction.
    origin: paper and reference implementations.
    encoder: the part that ImageNet weights of other codes fit; None where there is none, or no code has such weights.
    """

    name: str
    group: str
    variants: Mapping[str, Mapping[str, Any]]
    module: Callable[..., nn.Module]
    size_rule: SizeRule
    stride: int
    align_corners: bool
    origin: str
    reference: Reference
    auxiliary: tuple[str, ...] = ()
    encoder: Encoder | None = None

    @property
    def published_variants(self) -> list[str]:
        """The variants for use: all but the small one for tests."""
        return [name for name in self.variants if name != TINY]

    def build(self, spec: ModelSpec, *, training: bool = False) -> nn.Module:
        """The network that `spec` describes, with random weights; auxiliary heads only where `training`."""
        arguments = arguments_from_text(spec.variant, self.variants, family=self.name)
        self.size_rule.check(spec.input.width, spec.input.height, model=spec.name)
        try:
            network = self.module(len(spec.labels), auxiliary=training, **arguments)
        except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as problem:
            message = f"cannot build {self.name} {spec.variant}: its numbers contradict each other"
            raise FormatError(message, hint=f"known: {', '.join(self.variants)}") from problem
        return network.train(training)

    def load(self, spec: ModelSpec, state: State) -> nn.Module:
        """The network with the weights of `state`, in evaluation mode. MismatchError where they do not fit."""
        with torch.device("meta"):  # shapes only: allocates nothing before the weights fit
            network = self.build(spec)
        own = network.state_dict()
        state = {**{key: torch.tensor(0) for key in own if key.endswith(COUNTER)}, **state}
        wrong = [key for key in own if key not in state or state[key].shape != own[key].shape]
        extra = [key for key in state if key not in own]
        if wrong or extra:
            first = (wrong or extra)[0]
            raise MismatchError(
                f"the weights do not fit {self.name} {spec.variant}: {len(wrong)} tensors are missing or have another "
                f"shape, {len(extra)} are unknown, first: {first}",
                hint="name the family that the weights were trained with, or export from the training code",
            )
        network.load_state_dict({key: state[key].to(own[key].dtype) for key in own}, assign=True)
        return network.eval()

    def deployed(self, state: State) -> dict[str, Tensor]:
        """`state` without the weights that only training needs."""
        return {key: value for key, value in state.items() if not key.startswith(self.auxiliary)}
