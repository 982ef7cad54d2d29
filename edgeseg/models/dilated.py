"""What the nets on a dilated ResNet share: the backbone, a head on its features, and a classifier for training."""

from __future__ import annotations

from torch import Tensor, nn

from edgeseg.models.layers import classifier
from edgeseg.models.resnet import ResNet, kaiming_init


class DilatedNet(nn.Module):
    """A ResNet and a head.

    head: takes the features of all stages, a list, and gives logits; or, in training, a list of them, the main ones
    first. auxiliary: a classifier on the third stage, for training, a quarter as wide.
    """

    def __init__(self, backbone: ResNet, head: nn.Module, classes: int, *, auxiliary: bool = False) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        kaiming_init(head)
        channels = backbone.channels[2]
        self.auxiliary = nn.ModuleList(classifier(channels, channels // 4, classes) for _ in range(auxiliary))
        kaiming_init(self.auxiliary)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, h, w); in training a list, with those of the third stage last."""
        features = self.backbone(x)
        logits: Tensor | list[Tensor] = self.head(features)
        if not self.training:
            return logits
        main = logits if isinstance(logits, list) else [logits]
        return [*main, *(head(features[2]) for head in self.auxiliary)]
