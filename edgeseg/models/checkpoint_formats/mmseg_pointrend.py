"""mmsegmentation's PointRend."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, rows
from edgeseg.models.checkpoint_formats.inputs import mmseg_input
from edgeseg.models.checkpoint_formats.mmseg import mmseg_state
from edgeseg.models.checkpoint_formats.resnet import resnet_adopted
from edgeseg.models.pointrend import FAMILY

POINTS = 8196  # in the configurations; no weight tells
RULES: list[Rule] = [
    (r"backbone\.", "backbone."),
    (r"neck\.lateral_convs\.(\d)\.0\.", r"pyramid.narrow.\1."),
    (r"neck\.fpn_convs\.(\d)\.0\.", r"pyramid.smooth.\1."),
    (r"decode_head\.0\.scale_heads\.0\.0\.", "coarse_head.scales.0."),
    (r"decode_head\.0\.scale_heads\.", "coarse_head.scales."),
    (r"decode_head\.0\.conv_seg\.", "coarse_head.classify."),
    (r"decode_head\.1\.fcs\.(\d)\.0\.", r"point_head.layers.\1."),
    (r"decode_head\.1\.fc_seg\.", "point_head.classify."),
]


def adopt(state: State) -> Adopted:
    """Both decode heads. The convolutions over points are of one dimension there."""
    own = mmseg_state(state, RULES)
    own |= {key: value[..., None] for key, value in own.items() if key.startswith("point_head.") and value.ndim == 3}
    classes = rows(own, "coarse_head.classify.weight")
    channels = rows(own, "pyramid.narrow.0.weight")
    return resnet_adopted(
        own, FAMILY.variants, classes=classes, input=mmseg_input(classes), channels=channels, points=POINTS
    )


FORMAT = CheckpointFormat(
    name="mmsegmentation PointRend",
    family="pointrend",
    signature=(
        "backbone.stem.0.weight",
        "neck.lateral_convs.0.conv.weight",
        "decode_head.0.conv_seg.weight",
        "decode_head.1.fc_seg.weight",
    ),
    adopt=adopt,
    source="mmsegmentation 1.2.2: mmseg/models/decode_heads/point_head.py, configs/_base_/models/pointrend_r50.py",
    licence="Apache-2.0",
)
