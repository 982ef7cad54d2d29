"""U-Net++: a U-Net whose skips are rows of convolutions, each beside all earlier maps of its scale.

Zhou et al., "UNet++: A Nested U-Net Architecture for Medical Image Segmentation", DLMIA 2018, arXiv 1807.10165.
`base` has the paper's widths and transposed convolutions, with batch norm: 9.05 M parameters, where the paper counts
9.04 M, and 238.6 G multiply-adds with 19 classes at 1024x512. The paper's deep supervision trains a classifier on every
map of the first row; the last one is deployed.

`resnet34` is the network of segmentation_models_pytorch (26.08 M, 148.4 G): a ResNet as encoder, repetition in place of
transposed convolutions, own widths for the last map of each row, one step more, and a classifier of 3x3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgeseg.errors import UnknownNameError
from edgeseg.models.family import Family, Reference
from edgeseg.models.resnet import kaiming_init
from edgeseg.models.unet_trunk import deconvolution, double_conv, encoder_from_name, nearest
from edgeseg.spec import SizeRule

UPS = {"paper": deconvolution, "smp": nearest}


class UNetPlusPlus(nn.Module):
    """The network.

    encoder, width: see `encoder_from_name`. decoder: channels of the last map of each row, the coarsest first.
    port: "paper" or "smp" (segmentation_models_pytorch), how a map is enlarged, and the classifier.
    auxiliary: classifiers on the other maps of the first row, for training.
    """

    def __init__(
        self, classes: int, *, encoder: str, width: int, decoder: Sequence[int], port: str, auxiliary: bool = False
    ) -> None:
        super().__init__()
        if port not in UPS:
            raise UnknownNameError.among("port of unetplusplus", port, UPS)
        self.backbone = encoder_from_name(encoder, width, len(decoder) + 1)
        widths = self.backbone.widths
        self.rows = len(widths) - 1
        lasts = [*decoder[self.rows - 1 :: -1], widths[-1]]
        self.ups, self.nodes = nn.ModuleDict(), nn.ModuleDict()
        for row, column in self.places():
            below = lasts[row + 1] if row + column == self.rows else widths[row + 1]
            out = lasts[row] if row + column == self.rows else widths[row]
            self.ups[f"{row}_{column}"] = UPS[port](below, out)
            entering = below if port == "smp" else out
            self.nodes[f"{row}_{column}"] = double_conv(entering + column * widths[row], out)
        self.further = nn.ModuleList(
            nn.Sequential(nearest(c, out), double_conv(c, out))
            for c, out in zip(decoder[self.rows - 1 :], decoder[self.rows :])
        )
        self.supervision = nn.ModuleList(nn.Conv2d(widths[0], classes, 1) for _ in range(self.rows - 1) if auxiliary)
        kernel = 3 if port == "smp" else 1
        self.classify = nn.Conv2d(decoder[-1], classes, kernel, padding=kernel // 2)
        kaiming_init(self)

    def places(self) -> list[tuple[int, int]]:
        """(row, column) of the maps behind the encoder's, column by column: each after those that it reads."""
        return [(row, column) for column in range(1, self.rows + 1) for row in range(self.rows + 1 - column)]

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H, W); in training a list, with those of the first row's other maps behind."""
        grid = [[feature] for feature in self.backbone(x)]
        for row, column in self.places():
            name = f"{row}_{column}"
            below = self.ups[name](grid[row + 1][column - 1])
            grid[row].append(self.nodes[name](torch.cat([below, *reversed(grid[row])], 1)))
        x = grid[0][-1]
        for step in self.further:
            x = step(x)
        logits: Tensor = self.classify(x)
        if not self.training:
            return logits
        return [logits, *(head(feature) for head, feature in zip(self.supervision, grid[0][1:]))]


FAMILY = Family(
    name="unetplusplus",
    group="encoder-decoder",
    variants={
        "base": {"encoder": "convolutions", "width": 32, "decoder": (256, 128, 64, 32), "port": "paper"},
        "resnet34": {"encoder": "resnet34", "width": 64, "decoder": (256, 128, 64, 32, 16), "port": "smp"},
        "tiny": {"encoder": "convolutions", "width": 8, "decoder": (32, 16, 8), "port": "paper"},
    },
    module=UNetPlusPlus,
    size_rule=SizeRule(multiple=32, minimum=64),
    stride=1,
    align_corners=False,
    origin="arXiv 1807.10165; compared with PaddleSeg and segmentation_models_pytorch",
    reference=Reference(
        "LiTS liver 82.9 IoU, against 76.6 of a U-Net (its paper)",
        counts={"base": (9.04, None), "resnet34": (26.08, 148.4)},
        licence="Apache-2.0",
    ),
    auxiliary=("supervision.",),
)
