"""STDC-Seg: BiSeNet without its spatial path; the backbone's own features at 1/8 keep the detail.

Fan et al., "Rethinking BiSeNet For Real-time Semantic Segmentation", CVPR 2021, arXiv 2104.13188. With 19 classes at
1024x512 the authors' code (MichaelFan01/STDC-Seg) has 8.28 M parameters and 16.9 G multiply-adds as `stdc1`, 12.31 M
and 23.5 G as `stdc2`, without the heads for training and ImageNet's classifier.

The authors also train a head for detail, of one channel, on the features at 1/8. It is not here: a training gives
class logits alone. Their classifiers have no bias.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from edgeseg.models.bisenetv1 import ContextPath, Fusion, classifier
from edgeseg.models.family import TINY, Family, Reference
from edgeseg.models.resnet import kaiming_init
from edgeseg.models.stdcnet import STDC1, STDC2, STDCNet
from edgeseg.spec import SizeRule

SQUEEZE = 4  # channels behind the fusion by those inside its gate


class STDC(nn.Module):
    """The network.

    depths, width: see STDCNet. context: channels of the context path. fused: behind the fusion. head, auxiliary_head:
    before the classifiers. auxiliary: two of them on the context path, for training.
    """

    def __init__(
        self,
        classes: int,
        *,
        depths: Sequence[int],
        width: int,
        context: int,
        fused: int,
        head: int,
        auxiliary_head: int,
        auxiliary: bool = False,
    ) -> None:
        super().__init__()
        backbone = STDCNet(depths, width)
        self.context = ContextPath(backbone, backbone.channels, context, "nearest")
        self.fusion = Fusion(backbone.channels[0] + context, fused, fused // SQUEEZE, False)
        self.head = classifier(fused, head, classes)
        self.auxiliary = nn.ModuleList(classifier(context, auxiliary_head, classes) for _ in range(2) if auxiliary)
        kaiming_init(self)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H/8, W/8); in training a list, with those of the context path behind."""
        fine, context, coarse = self.context(x)
        logits: Tensor = self.head(self.fusion(fine, context))
        if not self.training:
            return logits
        return [logits, *(head(feature) for head, feature in zip(self.auxiliary, (context, coarse)))]


USUAL = {"width": 64, "context": 128, "fused": 256, "head": 256, "auxiliary_head": 64}

FAMILY = Family(
    name="stdc",
    group="real-time",
    variants={
        "stdc1": {"depths": STDC1, **USUAL},
        "stdc2": {"depths": STDC2, **USUAL},
        TINY: {"depths": (1, 1, 1), "width": 8, "context": 16, "fused": 32, "head": 32, "auxiliary_head": 16},
    },
    module=STDC,
    size_rule=SizeRule(multiple=32, minimum=64),
    stride=8,
    align_corners=False,
    origin="arXiv 2104.13188; compared with MichaelFan01/STDC-Seg and mmsegmentation",
    reference=Reference(
        "Cityscapes test 71.9 mIoU, 250.4 FPS (STDC1, 1024x512); 76.8, 97.0 FPS (STDC2, 1536x768); GTX 1080 Ti",
        counts={"stdc1": (8.28, 16.9), "stdc2": (12.31, 23.5)},
        licence="MIT",
    ),
    auxiliary=("auxiliary.",),
)
