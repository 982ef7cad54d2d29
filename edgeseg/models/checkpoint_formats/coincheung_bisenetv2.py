"""CoinCheung/BiSeNet's BiSeNetV2, in three versions, which differ in the name of the last convolution.

Until September 2020 it resizes with align_corners. Later versions upsample by nearest neighbour in the aggregation
layer; their head is a PixelShuffle until July 2021, and bilinear without align_corners since. One file of the history,
`lib/models/bisenetv2_old.py`, has the names of the first and the resizing of the third: it is read as the first.
"""

from __future__ import annotations

from typing import Any

from edgeseg.errors import MismatchError
from edgeseg.models.bisenetv2 import SHUFFLED
from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed, rows
from edgeseg.models.checkpoint_formats.inputs import coincheung_input
from edgeseg.models.checkpoint_formats.mmseg_bisenetv2 import CONV_BN, variant_from_state

VERSIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "head.conv_out.weight": ("before September 2020: resizes with align_corners", {"upsample": "corners"}),
    "head.conv_out.0.weight": (
        "September 2020 to July 2021: PixelShuffle head",
        {"upsample": "nearest", "shuffle": True},
    ),
    "head.conv_out.1.weight": ("since July 2021", {"upsample": "nearest"}),
}

DETAIL = ["S1.0", "S1.1", "S2.0", "S2.1", "S2.2", "S3.0", "S3.1", "S3.2"]
STAGE = r"segment\.S(3|4|5)(?:_4)?\.(\d+)\."
RULES: list[Rule] = [
    (r"segment\.S5_5\.1\.", "context.norm."),
    *((f"detail.{theirs}.", f"detail.{number}.") for number, theirs in enumerate(DETAIL)),
    (r"segment\.S1S2\.conv\.", "stem.first."),
    (r"segment\.S1S2\.(left|fuse)\.", r"stem.\1."),
    (STAGE + r"conv1\.", r"stage\1.\2.gather."),
    (STAGE + r"dwconv1?\.", r"stage\1.\2.expand.0."),
    (STAGE + r"dwconv2\.", r"stage\1.\2.expand.1."),
    (STAGE + r"conv2\.", r"stage\1.\2.project."),
    (STAGE + r"shortcut\.([01])\.", r"stage\1.\2.shortcut.0.\3."),
    (STAGE + r"shortcut\.2\.", r"stage\1.\2.shortcut.1.0."),
    (STAGE + r"shortcut\.3\.", r"stage\1.\2.shortcut.1.1."),
    (r"segment\.S5_5\.conv_gap\.", "context.embed."),
    (r"segment\.S5_5\.conv_last\.", "context.last."),
    (r"bga\.left1\.([01])\.", r"aggregate.detail_keep.0.\1."),
    (r"bga\.left1\.2\.", "aggregate.detail_keep.1."),
    (r"bga\.right2\.([01])\.", r"aggregate.semantic_keep.0.\1."),
    (r"bga\.right2\.2\.", "aggregate.semantic_keep.1."),
    (r"bga\.left2\.", "aggregate.detail_down.0."),
    (r"bga\.right1\.", "aggregate.semantic_up."),
    (r"bga\.conv\.", "aggregate.last."),
    (r"head\.conv\.", "head.0."),
    (r"head\.conv_out\.(?:[01]\.)?", "head.2."),
]


def adopt(state: State) -> Adopted:
    """The main head's network. MismatchError for `backbone_v2.pth`, which has no head."""
    last = next((name for name in VERSIONS if name in state), None)
    if last is None:
        raise MismatchError(
            f"a CoinCheung/BiSeNet v2 checkpoint without a head: {len(state)} tensors of the backbone alone",
            hint="use a trained network such as model_final_v2_city.pth; backbone_v2.pth is for training",
        )
    details, arguments = VERSIONS[last]
    own = renamed(renamed(state, CONV_BN), RULES, drop=[r"aux\d"])
    classes = rows(own, "head.2.weight") // (SHUFFLED**2 if "shuffle" in arguments else 1)
    spec, remark = coincheung_input(classes)
    return Adopted(
        variant=variant_from_state(own, **arguments),
        classes=classes,
        state=own,
        input=spec,
        align_corners=arguments["upsample"] == "corners",
        details=details + remark,
    )


FORMAT = CheckpointFormat(
    name="CoinCheung/BiSeNet v2",
    family="bisenetv2",
    signature=("detail.S1.0.conv.weight", "segment.S1S2.conv.conv.weight", "segment.S5_5.conv_gap.conv.weight"),
    adopt=adopt,
    source="github.com/CoinCheung/BiSeNet: lib/models/bisenetv2.py in three versions, lib/data, configs",
)
