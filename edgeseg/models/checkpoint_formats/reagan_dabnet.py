"""Reagan1311/DABNet, its author's code."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed, rows
from edgeseg.models.checkpoint_formats.light import LAYERS, blocks, undivided_input
from edgeseg.models.dabnet import FAMILY
from edgeseg.models.variant import text_from_arguments

MEAN = (73.15835921, 82.90891754, 72.39239876)  # of R, G, B, as this code subtracts it
BLOCK = r"(DAB_Block_\d\.DAB_Module_\d_\d+\.)"
INSIDE: list[Rule] = [
    *((rf"{BLOCK}bn_relu_1\.{n}\.", rf"\g<1>first.{n - 1}.") for n in (1, 2)),
    *((rf"{BLOCK}conv3x3\.{n}\.", rf"\g<1>first.{n + 2}.") for n in range(3)),
    (rf"{BLOCK}dconv3x1\.", r"\g<1>local."),
    *((rf"{BLOCK}dconv1x3\.{n}\.", rf"\g<1>local.{n + 3}.") for n in range(3)),
    (rf"{BLOCK}ddconv3x1\.", r"\g<1>context."),
    *((rf"{BLOCK}ddconv1x3\.{n}\.", rf"\g<1>context.{n + 3}.") for n in range(3)),
    *((rf"{BLOCK}bn_relu_2\.{n}\.", rf"\g<1>last.{n - 1}.") for n in (1, 2)),
    (rf"{BLOCK}conv1x1\.0\.", r"\g<1>last.2."),
    ("", ""),
]
RULES: list[Rule] = [
    (r"init_conv\.", "stem."),
    *((rf"bn_prelu_{n + 1}\.{layer}\.", f"norms.{n}.{layer - 1}.") for n in range(3) for layer in (1, 2)),
    *((rf"downsample_{n + 1}\.conv3x3\.0\.", f"downs.{n}.conv.") for n in (0, 1)),
    *((rf"downsample_{n + 1}\.{layer}\.", f"downs.{n}.norm.{layer - 1}.") for n in (0, 1) for layer in (1, 2)),
    *((rf"DAB_Block_{n + 1}\.DAB_Module_\d_(\d+)\.", rf"stages.{n}.\1.") for n in (0, 1)),
    (r"classifier\.0\.0\.", "classify."),
]


def adopt(state: State) -> Adopted:
    """The network. Dilations are no weights: those of the code, by the number of blocks."""
    own = renamed(renamed(renamed(state, LAYERS), INSIDE), RULES)
    classes = rows(own, "classify.weight")
    base = FAMILY.variants["base"]
    arguments = {
        "width": rows(own, "stem.0.0.weight"),
        "first": base["first"][:1] * blocks(own, "stages.0."),
        "second": base["second"][: blocks(own, "stages.1.")],
    }
    return Adopted(
        variant=text_from_arguments("base", arguments, FAMILY.variants),
        classes=classes,
        state=own,
        input=undivided_input(MEAN, classes),
        align_corners=False,
    )


FORMAT = CheckpointFormat(
    name="Reagan1311/DABNet",
    family="dabnet",
    signature=(
        "init_conv.0.conv.weight",
        "downsample_1.conv3x3.conv.weight",
        "DAB_Block_1.DAB_Module_1_0.ddconv3x1.conv.weight",
        "classifier.0.conv.weight",
    ),
    adopt=adopt,
    source="Reagan1311/DABNet b8d62fe: model/DABNet.py, dataset/cityscapes.py",
    licence="MIT",
)
