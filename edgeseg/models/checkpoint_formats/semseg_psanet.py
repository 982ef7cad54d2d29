"""PSANet of hszhao/semseg, the author's own port: a stem of 64, 64 and 128 channels, and aligned corners."""

from __future__ import annotations

import math

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed, rows
from edgeseg.models.checkpoint_formats.resnet import resnet_adopted
from edgeseg.models.psanet import FAMILY
from edgeseg.spec import InputSpec

RULES: list[Rule] = [
    (r"layer0\.", "backbone.stem."),
    (r"layer", "backbone.layer"),
    (r"psa\.reduce\.", "head.collect.reduce."),
    (r"psa\.attention\.3\.", "head.collect.predict.1."),
    (r"psa\.attention\.", "head.collect.predict.0."),
    (r"psa\.reduce_p\.", "head.distribute.reduce."),
    (r"psa\.attention_p\.3\.", "head.distribute.predict.1."),
    (r"psa\.attention_p\.", "head.distribute.predict.0."),
    (r"psa\.proj\.", "head.widen."),
    (r"cls\.4\.", "head.classify.2."),
    (r"cls\.", "head.classify.0."),
]


def adopt(state: State) -> Adopted:
    """The classifier's network; the auxiliary one is left out.

    It was trained on square crops, and the mask covers all of one: at the size chosen here, a crop's map.
    """
    own = renamed(state, RULES, drop=[r"aux\."])
    mask = math.isqrt(rows(own, "head.collect.predict.1.weight"))
    return resnet_adopted(
        own,
        FAMILY.variants,
        classes=rows(own, "head.classify.2.weight"),
        input=InputSpec(8 * mask, 8 * mask),  # maps as those of a crop of 8 (mask - 1) + 1
        align_corners=True,
        details="trained on square crops",
        channels=rows(own, "head.classify.0.0.weight"),
        mask=mask,
        port="semseg",
    )


FORMAT = CheckpointFormat(
    name="hszhao/semseg PSANet",
    family="psanet",
    signature=("layer0.0.weight", "layer1.0.conv1.weight", "psa.attention.3.weight", "cls.4.weight"),
    adopt=adopt,
    source="hszhao/semseg at 4f274c3: model/psanet.py, model/resnet.py, lib/psa/, tool/test.py",
    licence="MIT",
)
