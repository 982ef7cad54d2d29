"""Tramac/Fast-SCNN-pytorch."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed, rows
from edgeseg.models.checkpoint_formats.light import blocks
from edgeseg.models.checkpoint_formats.mmseg_fastscnn import fastscnn_adopted, stage_rules

EXTRACTOR = "global_feature_extractor."
SEPARABLE: list[Rule] = [  # and the layers inside an inverted residual
    *((rf"(.+\.dsconv\d\.)conv\.{n}\.", rf"\g<1>{n // 3}.{n % 3}.") for n in (0, 1, 3, 4)),
    *((rf"(?:{EXTRACTOR})(bottleneck\d\.\d+\.)block\.{n}\.conv\.", rf"\g<1>body.{n}.") for n in (0, 1)),
    *((rf"(?:{EXTRACTOR})(bottleneck\d\.\d+\.)block\.{n}\.", rf"\g<1>body.2.{n - 2}.") for n in (2, 3)),
    ("", ""),
]
RULES: list[Rule] = [
    (r"learning_to_downsample\.conv\.conv\.", "shared.0."),
    (r"learning_to_downsample\.dsconv(\d)\.", r"shared.\1."),
    *((rf"global_feature_extractor\.ppm\.conv{n + 1}\.conv\.", f"pyramid.{n}.") for n in range(4)),
    (r"global_feature_extractor\.ppm\.out\.conv\.", "join."),
    (r"feature_fusion\.dwconv\.conv\.", "deep.0."),
    (r"feature_fusion\.conv_lower_res\.", "deep.1."),
    (r"feature_fusion\.conv_higher_res\.", "fine."),
    *((rf"classifier\.dsconv{n + 1}\.", f"classify.{n}.") for n in (0, 1)),
    (r"classifier\.conv\.1\.", "classify.3."),
]


def adopt(state: State) -> Adopted:
    """The network. Two convolutions before a batch norm have a bias, which goes into its mean."""
    repeats = blocks(state, f"{EXTRACTOR}bottleneck1.")
    own = renamed(renamed(state, SEPARABLE), [*stage_rules(repeats), *RULES], drop=[r"auxlayer\."])
    for layer in ("deep.1", "fine"):
        for key in (f"{layer}.0.bias", f"{layer}.1.running_mean"):
            rows(own, key)
        own[f"{layer}.1.running_mean"] = own[f"{layer}.1.running_mean"] - own.pop(f"{layer}.0.bias")
    return fastscnn_adopted(own, "tramac", align_corners=True)


FORMAT = CheckpointFormat(
    name="Tramac/Fast-SCNN-pytorch",
    family="fastscnn",
    signature=(
        "learning_to_downsample.conv.conv.0.weight",
        "global_feature_extractor.ppm.conv1.conv.0.weight",
        "feature_fusion.conv_lower_res.0.bias",
        "classifier.conv.1.weight",
    ),
    adopt=adopt,
    source="Tramac/Fast-SCNN-pytorch 0638517: models/fast_scnn.py, train.py",
    licence="Apache-2.0",
)
