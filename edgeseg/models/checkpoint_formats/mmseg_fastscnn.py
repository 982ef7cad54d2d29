"""mmsegmentation's Fast-SCNN."""

from __future__ import annotations

from torch import Tensor

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed, rows
from edgeseg.models.checkpoint_formats.inputs import mmseg_input
from edgeseg.models.checkpoint_formats.light import blocks
from edgeseg.models.checkpoint_formats.mmseg import mmseg_state
from edgeseg.models.fastscnn import FAMILY
from edgeseg.models.variant import text_from_arguments

EXTRACTOR = "backbone.global_feature_extractor."
FIRST: list[Rule] = [  # layers inside something that is called conv itself
    (r"(backbone\.)learning_to_downsample\.conv\.", r"\g<1>shared.0."),
    (r"(backbone\.)global_feature_extractor\.(bottleneck\d\.\d+)\.conv\.", r"\g<1>\g<2>.body."),
    ("", ""),
]
RULES: list[Rule] = [
    (r"backbone\.shared\.", "shared."),
    (r"backbone\.learning_to_downsample\.dsconv(\d)\.", r"shared.\1."),
    (r"backbone\.global_feature_extractor\.ppm\.(\d)\.1\.", r"pyramid.\1."),
    (r"backbone\.global_feature_extractor\.out\.", "join."),
    (r"backbone\.feature_fusion\.dwconv\.", "deep.0."),
    (r"backbone\.feature_fusion\.conv_lower_res\.", "deep.1."),
    (r"backbone\.feature_fusion\.conv_higher_res\.", "fine."),
    (r"decode_head\.convs\.(\d)\.", r"classify.\1."),
    (r"decode_head\.conv_seg\.", "classify.3."),
]


def stage_rules(repeats: int, prefix: str = "") -> list[Rule]:
    """The residuals, of which the family counts those of all stages together."""
    return [
        (rf"{prefix}bottleneck{stage + 1}\.{n}\.", f"stages.{stage * repeats + n}.")
        for stage in range(3)
        for n in range(repeats)
    ]


def fastscnn_adopted(own: dict[str, Tensor], port: str, *, align_corners: bool) -> Adopted:
    """The network. own: with the family's names, whose shapes tell the widths."""
    repeats = blocks(own, "stages.") // 3
    arguments = {
        "shared": tuple(rows(own, key) for key in ("shared.0.0.weight", "shared.1.1.0.weight", "shared.2.1.0.weight")),
        "stages": tuple(rows(own, f"stages.{stage * repeats}.body.2.0.weight") for stage in range(3)),
        "repeats": repeats,
        "port": port,
    }
    classes = rows(own, "classify.3.weight")
    variant = text_from_arguments(port, arguments, FAMILY.variants)
    return Adopted(variant, classes, own, mmseg_input(classes), align_corners)


def adopt(state: State) -> Adopted:
    """The network; the auxiliary heads are left out."""
    repeats = blocks(state, f"{EXTRACTOR}bottleneck1.")
    own = mmseg_state(renamed(state, FIRST), [*stage_rules(repeats, r"backbone\."), *RULES])
    return fastscnn_adopted(own, "mmseg", align_corners=False)


FORMAT = CheckpointFormat(
    name="mmsegmentation Fast-SCNN",
    family="fastscnn",
    signature=(
        "backbone.learning_to_downsample.dsconv1.depthwise_conv.conv.weight",
        "backbone.global_feature_extractor.out.conv.weight",
        "backbone.feature_fusion.dwconv.conv.weight",
        "decode_head.conv_seg.weight",
    ),
    adopt=adopt,
    source="mmsegmentation 1.2.2: mmseg/models/backbones/fast_scnn.py, configs/_base_/models/fast_scnn.py",
)
