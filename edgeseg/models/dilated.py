"""What the families on a dilated ResNet share: the net, mmsegmentation's head, and the description of a family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.errors import UnknownNameError
from edgeseg.models.family import Family, Reference
from edgeseg.models.layers import classifier, conv_bn_relu
from edgeseg.models.resnet import BACKBONE, ResNet, kaiming_init, resnet_of_code
from edgeseg.spec import SizeRule

Head = Callable[[int, int, int], nn.Module]  # of the last stage's channels, its own width, and classes
Variants = Mapping[str, Mapping[str, Any]]

# Keyword arguments of `dilated_net`: those that mmsegmentation publishes weights of; a lighter one, with the width that
# it gives FCN, PSPNet and DeepLab on ResNet18; and a small one for tests.
VARIANTS: dict[str, dict[str, Any]] = {
    "resnet50": {"depth": 50, "width": 64, "channels": 512},
    "resnet18": {"depth": 18, "width": 64, "channels": 128},
    "resnet101": {"depth": 101, "width": 64, "channels": 512},
    "tiny": {"depth": 10, "width": 8, "channels": 32},
}
# Of `ported_net`.
MMSEG = {"trunk": "mmseg", "port": "mmseg"}
PORTED: dict[str, dict[str, Any]] = {
    "resnet50": {"depth": 50, "width": 64, "channels": 512, **MMSEG},
    "resnet18": {"depth": 18, "width": 64, "channels": 128, **MMSEG},
    "resnet101": {"depth": 101, "width": 64, "channels": 512, **MMSEG},
    "tiny": {"depth": 10, "width": 8, "channels": 16, **MMSEG},
}


class DilatedNet(nn.Module):
    """A ResNet and a head.

    head: takes the features of all stages, a list, and gives logits; or, in training, a list of them, the main ones
    first. auxiliary: a classifier on the third stage, where there is one, a quarter as wide, for training.
    """

    def __init__(self, backbone: ResNet, head: nn.Module, classes: int, *, auxiliary: bool = False) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        kaiming_init(head)
        third = backbone.channels[2:3] if auxiliary else ()
        self.auxiliary = nn.ModuleList(classifier(channels, channels // 4, classes) for channels in third)
        kaiming_init(self.auxiliary)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, h, w); in training a list, with those of the third stage last."""
        features = self.backbone(x)
        logits: Tensor | list[Tensor] = self.head(features)
        if not self.training:
            return logits
        main = logits if isinstance(logits, list) else [logits]
        return [*main, *(head(features[2]) for head in self.auxiliary)]


class ContextHead(nn.Module):
    """mmsegmentation's head: 3x3 convolution, context, 3x3; joined with the backbone's last map, 3x3, 1x1 to logits.

    block: makes the context of a width, which takes and gives (N, width, h, w); none for FCN.
    """

    def __init__(
        self, channels: int, width: int, classes: int, block: Callable[[int], nn.Module] = nn.Identity
    ) -> None:
        super().__init__()
        self.first = conv_bn_relu(channels, width)
        self.context = block(width)
        self.last = conv_bn_relu(width, width)
        self.join = conv_bn_relu(channels + width, width)
        self.drop = nn.Dropout2d(0.1)
        self.classify = nn.Conv2d(width, classes, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        """The stages' features, of which the last (N, channels, h, w) counts, to logits (N, C, h, w)."""
        x = features[-1]
        context = self.last(self.context(self.first(x)))
        return self.classify(self.drop(self.join(torch.cat([x, context], 1))))  # type: ignore[no-any-return]


def dilated_net(
    head: Head, classes: int, *, depth: int, width: int, channels: int, auxiliary: bool = False
) -> DilatedNet:
    """The net with mmsegmentation's ResNet. depth, width: of the ResNet. channels: inside the head."""
    backbone = resnet_of_code("mmseg", depth, width)
    return DilatedNet(backbone, head(backbone.channels[-1], channels, classes), classes, auxiliary=auxiliary)


def ported_net(
    family: str,
    heads: Mapping[str, Head],
    classes: int,
    *,
    depth: int,
    width: int,
    channels: int,
    trunk: str,
    port: str,
    auxiliary: bool = False,
) -> DilatedNet:
    """The net of a code that publishes weights. UnknownNameError where nobody's head or ResNet has the name.

    depth, width: of the ResNet. trunk: whose, a key of resnet.CODES. port: whose head, of `heads`.
    channels: inside the head. A head's `stages` are those of the ResNet that it needs, where they are not four.
    """
    if port not in heads:
        raise UnknownNameError.among(f"port of {family}", port, heads)
    head = heads[port]
    backbone = resnet_of_code(trunk, depth, width, stages=getattr(head, "stages", 4))
    return DilatedNet(backbone, head(backbone.channels[-1], channels, classes), classes, auxiliary=auxiliary)


def dilated_family(
    name: str,
    module: Callable[..., DilatedNet],
    *,
    group: str,
    origin: str,
    reference: Reference,
    variants: Variants = VARIANTS,
    minimum: int = 64,
    auxiliary: tuple[str, ...] = (),
) -> Family:
    """A family with logits at 1/8 of the size. minimum: of a side. auxiliary: prefixes beside the shared classifier's.

    For the rest see Family.
    """
    return Family(
        name=name,
        group=group,
        variants=variants,
        module=module,
        size_rule=SizeRule(multiple=8, minimum=minimum),
        stride=8,
        align_corners=False,
        origin=origin,
        reference=reference,
        auxiliary=("auxiliary.", *auxiliary),
        encoder=BACKBONE,
    )
