"""The authors' CCNet (speedinghzl/CCNet), whose norms are InPlaceABN."""

from __future__ import annotations

from dataclasses import replace

from edgeseg.models.ccnet import FAMILY
from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed, rows
from edgeseg.models.checkpoint_formats.inplace_abn import with_batch_norms
from edgeseg.models.checkpoint_formats.inputs import mmseg_input
from edgeseg.models.checkpoint_formats.resnet import resnet_adopted

MEAN_BGR = (104.00698793, 116.66876762, 122.67891434)
RULES: list[Rule] = [
    *((rf"conv{n + 1}\.", f"backbone.stem.{3 * n}.") for n in range(3)),
    *((rf"bn{n + 1}\.", f"backbone.stem.{3 * n + 1}.") for n in range(3)),
    (r"layer", "backbone.layer"),
    (r"head\.conva\.", "head.first."),
    (r"head\.cca\.(query|key|value)_conv\.", r"head.context.\1."),
    (r"head\.cca\.gamma", "head.context.gamma"),
    (r"head\.convb\.", "head.last."),
    (r"head\.bottleneck\.3\.", "head.classify."),
    (r"head\.bottleneck\.", "head.join."),
]


def adopt(state: State) -> Adopted:
    """The head's network; that on the third stage, for training, is left out."""
    own = with_batch_norms(renamed(state, RULES, drop=[r"dsn\."]))
    classes = rows(own, "head.classify.weight")
    return resnet_adopted(
        own,
        FAMILY.variants,
        classes=classes,
        input=replace(mmseg_input(classes), mean=tuple(v / 255 for v in MEAN_BGR), std=(1 / 255,) * 3, color="bgr"),
        align_corners=True,
        channels=rows(own, "head.first.0.weight"),
        port="ccnet",
    )


FORMAT = CheckpointFormat(
    name="speedinghzl/CCNet",
    family="ccnet",
    signature=(
        "conv1.weight",
        "conv3.weight",
        "layer1.0.conv1.weight",
        "head.cca.query_conv.weight",
        "head.conva.0.weight",
    ),
    adopt=adopt,
    source="speedinghzl/CCNet at 1fae6c6: networks/ccnet.py, cc_attention/functions.py, train.py, evaluate.py",
    licence="MIT",
)
