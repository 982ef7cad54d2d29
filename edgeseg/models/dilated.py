"""What the nets on a dilated ResNet share: the backbone, a head on its features, and a classifier for training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeseg.models.layers import classifier, conv_bn_relu
from edgeseg.models.resnet import ResNet, kaiming_init


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

    context: takes and gives (N, width, h, w); nothing for FCN.
    """

    def __init__(self, channels: int, width: int, classes: int, context: nn.Module | None = None) -> None:
        super().__init__()
        self.first = conv_bn_relu(channels, width)
        self.context = context or nn.Identity()
        self.last = conv_bn_relu(width, width)
        self.join = conv_bn_relu(channels + width, width)
        self.drop = nn.Dropout2d(0.1)
        self.classify = nn.Conv2d(width, classes, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        """The stages' features, of which the last (N, channels, h, w) counts, to logits (N, C, h, w)."""
        x = features[-1]
        context = self.last(self.context(self.first(x)))
        return self.classify(self.drop(self.join(torch.cat([x, context], 1))))  # type: ignore[no-any-return]
