"""BiSeNetV1 of github.com/CoinCheung/BiSeNet, in three versions.

August 2020: a last layer without bias, and bilinear resizing with aligned corners. Since September 2020: the last layer
has 64 outputs per class, the pixels of an 8x8 square. Since July 2021: bilinear with half-pixel centres, and one
convolution with batch norm as the gate of the fusion. Internally, all three resize by nearest neighbour.
"""

from __future__ import annotations

import torch

from edgeseg.models.checkpoint_formats.bisenetv1 import conv_bn_rules, variant_from_state
from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed, rows
from edgeseg.models.checkpoint_formats.inputs import coincheung_input

RULES: list[Rule] = [
    (r"cp\.resnet\.", "context.backbone."),
    *conv_bn_rules(r"cp\.conv_avg", "context.mean"),
    *conv_bn_rules(r"cp\.arm(16|32)\.conv", r"context.refine\1.conv"),
    (r"cp\.arm(16|32)\.conv_atten\.", r"context.refine\1.gate.0."),
    (r"cp\.arm(16|32)\.bn_atten\.", r"context.refine\1.gate.1."),
    *conv_bn_rules(r"cp\.conv_head(16|32)", r"context.last\1"),
    *conv_bn_rules(r"sp\.conv1", "spatial.0"),
    *conv_bn_rules(r"sp\.conv2", "spatial.1"),
    *conv_bn_rules(r"sp\.conv3", "spatial.2"),
    *conv_bn_rules(r"sp\.conv_out", "spatial.3"),
    *conv_bn_rules(r"ffm\.convblk", "fusion.conv"),
    (r"ffm\.conv1\.", "fusion.gate.0."),
    (r"ffm\.conv2\.", "fusion.gate.2."),
    *conv_bn_rules("ffm", "fusion.gate"),
    *conv_bn_rules(r"conv_out\.conv", "head.0"),
    (r"conv_out\.conv_out\.", "head.1."),
]
AUXILIARY = (r"conv_out16\.", r"conv_out32\.")
SHUFFLED = 64  # outputs per class that become an 8x8 square


def adopt(state: State) -> Adopted:
    """Rename, and recognise the version. The number of classes gives the statistics."""
    own = renamed(state, RULES, drop=AUXILIARY)
    outputs, bias = rows(own, "head.1.weight"), "head.1.bias" in own
    shuffle = shuffles(state, outputs, bias=bias)
    if not bias:
        own["head.1.bias"] = torch.zeros(outputs)
    classes = outputs // SHUFFLED if shuffle else outputs
    details = "PixelShuffle head" if shuffle else "head of 2021" if bias else "head of August 2020"
    spec, remark = coincheung_input(classes)
    return Adopted(
        variant=variant_from_state(own, upsample="nearest", shuffle=shuffle),
        classes=classes,
        state=own,
        input=spec,
        align_corners=not bias and not shuffle,
        details=details + remark,
    )


def shuffles(state: State, outputs: int, *, bias: bool) -> bool:
    """Whether the head is a PixelShuffle.

    Then the head at 1/32 has four times as many outputs. Without that head, an older gate and a bias indicate it.
    """
    coarse = state.get("conv_out32.conv_out.weight")
    if coarse is not None:
        return coarse.shape[0] == 4 * outputs
    return bias and "ffm.conv2.weight" in state and outputs % SHUFFLED == 0


FORMAT = CheckpointFormat(
    name="CoinCheung/BiSeNet v1",
    family="bisenetv1",
    signature=("cp.resnet.conv1.weight", "sp.conv1.conv.weight", "ffm.convblk.conv.weight", "conv_out.conv_out.weight"),
    adopt=adopt,
    source="lib/models/bisenetv1.py and its history, lib/data/*.py",
)
