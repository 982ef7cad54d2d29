"""ICNet's size, its pyramid pooling, its guidance heads, and the checkpoints of mmsegmentation's port."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402
from golden_weights import golden_state, read_lines  # noqa: E402

from edgeseg.errors import MismatchError, UnknownNameError  # noqa: E402
from edgeseg.export.onnx import onnx_from_module  # noqa: E402
from edgeseg.graph.identity import graph_id  # noqa: E402
from edgeseg.models.checkpoint_formats.mmseg_icnet import adopt  # noqa: E402
from edgeseg.models.count import count  # noqa: E402
from edgeseg.models.icnet import BINS, FAMILY, halve, pool_evenly  # noqa: E402
from edgeseg.models.variant import arguments_from_text  # noqa: E402
from edgeseg.spec import InputSpec, LabelSet, ModelSpec  # noqa: E402

GOLDEN = Path(__file__).parents[1] / "golden" / "origins"


def shape_of(text: str, **more: Any) -> Any:
    """The network without values: enough to count."""
    with torch.device("meta"):
        return FAMILY.module(19, **arguments_from_text(text, FAMILY.variants, family="icnet"), **more)


@pytest.mark.parametrize("variant", FAMILY.variants)
def test_every_variant_states_all_keyword_arguments(variant: str) -> None:
    stated = set(inspect.signature(FAMILY.module).parameters) - {"classes", "auxiliary"}
    assert set(FAMILY.variants[variant]) == stated


def test_parameters_are_those_of_the_author() -> None:
    network = shape_of("resnet50-half")
    norms = sum(layer.num_features for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d))
    # The author's deployed file has each norm merged into its convolution: one bias in place of scale and shift.
    assert round((count(network, 1024, 512).parameters - norms) / 1e6, 2) == 6.69


@pytest.mark.parametrize(("depth", "parameters", "macs"), [(18, 24.9, 18.6), (50, 47.5, 30.6)])
def test_counts_of_the_port_are_those_of_mmsegmentation(depth: int, parameters: float, macs: float) -> None:
    counts = count(shape_of(f"resnet{depth}?pyramid=512&port=mmseg"), 1024, 512)
    # Counted on its own code, in one decimal; its pools are counted here, as products of matrices.
    assert round(counts.parameters / 1e6, 1) == parameters
    assert counts.macs / 1e9 == pytest.approx(macs, rel=5e-3)


def test_unknown_port_names_its_neighbour() -> None:
    with pytest.raises(UnknownNameError) as caught:
        shape_of("resnet18?port=mmsg")
    assert "mmseg" in caught.value.hint


@pytest.mark.parametrize("text", ["resnet18-half", "resnet18-half?port=mmseg"])
def test_guidance_is_at_a_16th_and_an_8th_and_costs_nothing_once_deployed(text: str) -> None:
    training = shape_of(text, auxiliary=True)
    assert count(training, 256, 128).macs == count(shape_of(text), 256, 128).macs
    assert set(FAMILY.deployed(training.state_dict())) == set(shape_of(text).state_dict())
    shapes = [tuple(logits.shape[2:]) for logits in training.train()(torch.empty(2, 3, 64, 96, device="meta"))]
    # The port rounds up when it pools: its maps at 1/16 have one row and one column more.
    sixteenth = (5, 7) if "port" in text else (4, 6)
    assert shapes == [(8, 12), sixteenth, (8, 12)]


def test_halving_is_the_bilinear_resize() -> None:
    x = torch.randn(2, 3, 10, 14)
    # The mean of four float32 numbers, in two orders.
    torch.testing.assert_close(halve(x), F.interpolate(x, scale_factor=0.5, mode="bilinear"), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bins", BINS)
def test_pools_are_adaptive_ones_where_the_sides_divide(bins: int) -> None:
    x = torch.randn(1, 4, 12, 18)
    # Sums of up to 216 float32 numbers in two orders.
    torch.testing.assert_close(pool_evenly(x, bins), F.adaptive_avg_pool2d(x, bins), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(33, 65), (11, 20), (2, 3), (1, 7)])
@pytest.mark.parametrize("bins", BINS)
def test_pools_see_every_position_and_keep_the_mean(bins: int, height: int, width: int) -> None:
    x = torch.ones(1, 1, height, width, requires_grad=True)
    pooled = pool_evenly(x, bins)
    pooled.sum().backward()
    assert pooled.shape[2:] == (min(bins, height), min(bins, width))
    assert pooled.flatten().tolist() == pytest.approx([1.0] * pooled.numel())
    assert x.grad is not None
    assert bool((x.grad > 0).all())


@pytest.mark.parametrize(("bins", "window"), [(1, (33, 65)), (2, (17, 33)), (6, (8, 15))])
def test_windows_are_the_authors_at_2049x1025(bins: int, window: tuple[int, int]) -> None:
    x = torch.zeros(1, 1, 33, 65, requires_grad=True)
    pool_evenly(x, bins)[0, 0, 0, 0].backward()
    assert x.grad is not None
    rows, columns = x.grad[0, 0].nonzero().max(0).values.tolist()
    # The third level, of 3 bins, is without overlap here: 33 rows divide by 3. The author has 13x25 windows there.
    assert (rows + 1, columns + 1) == window


@pytest.mark.slow
def test_one_identity_at_every_size(tmp_path: Path) -> None:
    network = FAMILY.module(2, **FAMILY.variants["resnet18-half"]).eval()
    labels = LabelSet(("a", "b"), ((0, 0, 0), (9, 9, 9)))
    found = set()
    for width, height in [(64, 64), (416, 224)]:  # pools of fewer positions than bins, and of sides that do not divide
        spec = ModelSpec("net", InputSpec(width, height), labels, family="icnet", variant="resnet18-half")
        artifact = onnx_from_module(network, spec, tmp_path / f"{width}.onnx")
        found.add(graph_id(ir.load(artifact.path)))
    assert len(found) == 1


def checkpoint(depth: int) -> dict[str, Any]:
    """A checkpoint of mmsegmentation's own code."""
    return golden_state(read_lines(GOLDEN / f"mmseg-icnet-r{depth}.txt"))


def test_classes_and_widths_are_read_off_the_shapes() -> None:
    state = checkpoint(18)
    state["decode_head.conv_seg.weight"] = state["decode_head.conv_seg.weight"][:11]
    state["decode_head.conv_seg.bias"] = state["decode_head.conv_seg.bias"][:11]
    adopted = adopt(state)
    assert (adopted.classes, adopted.variant) == (11, "resnet18?pyramid=512&port=mmseg")
    assert (adopted.input.width, adopted.input.height) == (512, 512)


def test_a_resnet_of_no_known_depth_is_refused() -> None:
    state = {key: value for key, value in checkpoint(18).items() if "layer3.1." not in key}
    with pytest.raises(MismatchError) as caught:
        adopt(state)
    assert "(2, 2, 1, 2)" in caught.value.message
    assert "edgeseg adopt model.onnx" in caught.value.hint
