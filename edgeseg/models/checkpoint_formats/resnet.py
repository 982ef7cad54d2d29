"""What the formats of nets on a ResNet share: the depth and the width, read off the family's own names."""

from __future__ import annotations

from edgeseg.errors import MismatchError
from edgeseg.models.checkpoint_formats.checkpoint_format import State, rows
from edgeseg.models.resnet import DEPTHS, has_bottlenecks


def depth_from_state(state: State, *, stages: int = 4) -> int:
    """The depth of the ResNet with as many blocks in each stage. MismatchError where none has."""
    bottlenecks = "backbone.layer1.0.conv3.weight" in state
    numbers = range(1, stages + 1)
    blocks = tuple(sum(f"backbone.layer{stage}.{n}.conv1.weight" in state for n in range(99)) for stage in numbers)
    for depth, repeats in DEPTHS.items():
        if repeats[:stages] == blocks and has_bottlenecks(depth) == bottlenecks:
            return depth
    raise MismatchError(
        f"no ResNet that edgeseg builds has stages of {blocks} blocks",
        hint="export it to ONNX with its own code, then: edgeseg adopt model.onnx",
    )


def width_from_state(state: State) -> int:
    """Channels inside the first stage's blocks."""
    return rows(state, "backbone.layer1.0.conv1.weight")
