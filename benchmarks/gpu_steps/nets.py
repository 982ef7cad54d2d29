"""The networks: the bundled ones at their own size, and every family with random weights at two sizes.

An ONNX that lies in the folder `onnx` of the run already is taken as it is: one made on another machine can be brought.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeseg.artifact import Artifact, artifact_from_onnx, load_onnx
from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.calib.precision import onnx_of_precision
from edgeseg.calib.range import RangeTable
from edgeseg.conversion import float_onnx
from edgeseg.datasets.labels import CITYSCAPES_LABELS
from edgeseg.files import whole_file
from edgeseg.recipe import bundled_ranges
from edgeseg.spec import InputSpec, ModelSpec, Precision, size_from_text
from edgeseg.synthetic import StreetCamera
from edgeseg.weights import BUNDLED
from gpu_steps.work import Work

if TYPE_CHECKING:
    from torch import nn

FAMILIES = ("bisenetv1", "bisenetv2", "icnet", "segformer")
LARGE = tuple(f"{family}-2048x1024" for family in FAMILIES)
RANDOM = (*(f"{family}-1024x512" for family in FAMILIES), *LARGE)
NETS = (*BUNDLED, *RANDOM)
CALIBRATION = (512, 256)  # a range table holds for every size, and random weights need no better one
IMAGES = 4


def onnx_of_net(net: str, precision: Precision, engine: str, work: Work) -> Artifact:
    """The ONNX that an engine of `precision` is compiled from."""
    source = float_of_net(net, work)
    if precision is Precision.FP32:
        return source
    out = work.part("onnx") / f"{net}.{engine}.{precision}.onnx"
    table = table_of_net(net, work)
    return onnx_of_precision(precision, load_onnx(source.path), table, target=engine, out=out).artifact


def float_of_net(net: str, work: Work) -> Artifact:
    """The float ONNX of `net`: a bundled name, or FAMILY-WIDTHxHEIGHT."""
    path = work.part("onnx") / f"{net}.onnx"
    if path.exists():
        return artifact_from_onnx(path)
    if net in BUNDLED:
        return float_onnx(net, work.part("onnx"))[0].artifact
    from edgeseg.export.onnx import onnx_from_module

    with whole_file(path) as partial:
        onnx_from_module(network_of_net(net, work), spec_of_net(net), partial)
    return artifact_from_onnx(path)


def table_of_net(net: str, work: Work) -> RangeTable:
    """The ranges: the committed ones, or those of the random network over a few images of the synthetic street."""
    committed = bundled_ranges(net)
    if committed:
        return RangeTable.open(committed)
    small = f"{family_of(net)}-{CALIBRATION[0]}x{CALIBRATION[1]}" if net in RANDOM else net
    path = work.part("onnx") / f"{small}.ranges.json"
    if not path.exists():
        source = float_of_net(small, work)
        side = source.spec.input
        frames = [StreetCamera(seed, side.width, side.height).render(0)[0] for seed in range(IMAGES)]
        ranges_from_images(source.path, frames, warn=lambda warning: None).write(path)
    return RangeTable.open(path)


def spec_of_net(net: str) -> ModelSpec:
    """FAMILY-WIDTHxHEIGHT with 19 classes, in the family's first variant."""
    from edgeseg.models import open_family

    family, _, size = net.rpartition("-")
    known = open_family(family)
    input_spec, variant = InputSpec(*size_from_text(size)), next(iter(known.variants))
    return ModelSpec(
        net, input_spec, CITYSCAPES_LABELS, family=family, variant=variant, align_corners=known.align_corners
    )


def network_of_net(net: str, work: Work) -> nn.Module:
    """The module with the family's random weights, which are made once and are the same at every size."""
    import torch

    from edgeseg.models import open_family

    family = family_of(net)
    network = open_family(family).build(spec_of_net(net))
    path = work.part("onnx") / f"{family}.pt"
    if not path.exists():
        with whole_file(path) as partial:
            torch.save(random_state(family), partial)
    network.load_state_dict(torch.load(path, weights_only=True))
    return network.eval()


def random_state(family: str) -> dict[str, object]:
    """He weights, with batch norms that saw noise once: else activations grow layer by layer, beyond float16."""
    import torch

    from edgeseg.models import open_family

    torch.manual_seed(0)
    width, height = CALIBRATION
    network = open_family(family).build(spec_of_net(f"{family}-{width}x{height}"))
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None
    with torch.no_grad():
        network.train()(torch.randn(2, 3, height, width))
    return dict(network.eval().state_dict())


def family_of(net: str) -> str:
    return net.rpartition("-")[0]


def split_item(item: str) -> tuple[str, Precision]:
    """The net and the precision of "bisenetv2-camvid.fp16"."""
    net, _, precision = item.rpartition(".")
    return net, Precision(precision)
