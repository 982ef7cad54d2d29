"""What every family of networks states about itself, in one shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from edgeseg.errors import MismatchError, UnknownNameError
from edgeseg.spec import ModelSpec, SizeRule

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Family:
    """A family of networks.

    variants: name -> keyword arguments of `module`, the first one being the default.
    module: builds the network, `module(num_classes, **variant)`; its forward takes (N, 3, H, W) float and gives
        logits (N, C, h, w), in training mode a list of them, the main one first.
    stride: input pixels per logit in each direction.
    origin: paper and reference implementations.
    """

    name: str
    variants: Mapping[str, Mapping[str, Any]]
    module: Callable[..., nn.Module]
    size_rule: SizeRule
    stride: int
    align_corners: bool
    origin: str

    def build(self, spec: ModelSpec, *, training: bool = False) -> nn.Module:
        """The network that `spec` describes, with random weights; auxiliary heads only where `training`."""
        if spec.variant not in self.variants:
            raise UnknownNameError.among(f"variant of {self.name}", spec.variant, self.variants)
        self.size_rule.check(spec.input.width, spec.input.height, model=spec.name)
        variant = dict(self.variants[spec.variant])
        network = self.module(len(spec.labels), auxiliary=training, **variant)
        return network.train(training)

    def load(self, spec: ModelSpec, state: State) -> nn.Module:
        """The network with the weights of `state`, in evaluation mode. MismatchError where they are not its own."""
        network = self.build(spec)
        own = network.state_dict()
        wrong = [key for key in own if key not in state or state[key].shape != own[key].shape]
        extra = [key for key in state if key not in own]
        if wrong or extra:
            first = (wrong or extra)[0]
            raise MismatchError(
                f"these weights are not of {self.name} {spec.variant}: {len(wrong)} tensors missing or of another "
                f"shape, {len(extra)} unknown, first: {first}",
                hint="name the family that the weights were trained with, or export from the training code",
            )
        network.load_state_dict({key: value.to(own[key].dtype) for key, value in state.items()})
        return network.eval()
