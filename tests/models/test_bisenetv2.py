"""BiSeNetV2's size, its booster heads, and the meaning of its two upsamplings."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from golden_weights import golden_image, golden_state, read_lines  # noqa: E402

from edgeseg.errors import MismatchError, UnknownNameError  # noqa: E402
from edgeseg.models.bisenetv2 import FAMILY  # noqa: E402
from edgeseg.models.checkpoint_formats.coincheung_bisenetv2 import adopt  # noqa: E402
from edgeseg.models.checkpoint_formats.inputs import COINCHEUNG_CUSTOM  # noqa: E402
from edgeseg.models.checkpoint_formats.mmseg_bisenetv2 import variant_from_state  # noqa: E402
from edgeseg.models.count import count  # noqa: E402
from edgeseg.models.layers import RESIZES, Enlarge  # noqa: E402
from edgeseg.models.variant import arguments_from_text  # noqa: E402

GOLDEN = Path(__file__).parents[1] / "golden" / "origins"


def shape_of(**variant: Any) -> Any:
    """The network without values: enough to count."""
    with torch.device("meta"):
        return FAMILY.module(19, **variant)


@pytest.mark.parametrize("variant", FAMILY.variants)
def test_every_variant_states_all_keyword_arguments(variant: str) -> None:
    stated = set(inspect.signature(FAMILY.module).parameters) - {"classes", "auxiliary"}
    assert set(FAMILY.variants[variant]) == stated


@pytest.mark.parametrize(("variant", "parameters", "macs"), [("base", 3.36e6, 24.60e9), ("light", 2.31e6, 16.01e9)])
def test_counts_are_those_of_the_reference_implementations(variant: str, parameters: float, macs: float) -> None:
    counts = count(shape_of(**FAMILY.variants[variant]), 1024, 512)
    # The reference counts are rounded to three digits and four.
    assert counts.parameters == pytest.approx(parameters, rel=2e-3)
    assert counts.macs == pytest.approx(macs, rel=1e-3)


def test_no_head_width_gives_the_count_that_the_paper_states() -> None:
    macs = [count(shape_of(head=2**n, booster=64), 1024, 512).macs for n in range(5, 12)]
    # The paper's 21.15 G is reached by none: its head or its way of counting was never published as code.
    assert all(abs(found / 21.15e9 - 1) > 0.05 for found in macs)


def test_the_large_one_has_the_counts_that_its_docstring_states_and_not_the_papers() -> None:
    counts = count(shape_of(**FAMILY.variants["large"]), 1024, 512)
    # Stated to two decimals.
    assert (round(counts.parameters / 1e6, 2), round(counts.macs / 1e9, 2)) == (20.18, 86.18)
    assert abs(counts.macs / 118.51e9 - 1) > 0.05


def test_width_and_depth_multiply_channels_and_layers() -> None:
    usual, large = shape_of(**FAMILY.variants["base"]), shape_of(**FAMILY.variants["large"])
    for name in ("stage3", "stage4", "stage5"):
        assert len(getattr(large, name)) == 3 * len(getattr(usual, name))
    channels = [[layer[0].out_channels for layer in network.detail] for network in (usual, large)]
    assert channels[1] == [2 * number for number in channels[0]]


def test_booster_heads_cost_nothing_once_deployed() -> None:
    deployed, training = (shape_of(auxiliary=on, **FAMILY.variants["light"]) for on in (False, True))
    assert count(training, 256, 128).macs == count(deployed, 256, 128).macs
    assert count(training, 256, 128).parameters > count(deployed, 256, 128).parameters


def test_training_gives_the_logits_of_head_and_four_boosters() -> None:
    network = FAMILY.module(7, auxiliary=True, **FAMILY.variants["light"]).train()
    shapes = [tuple(logits.shape) for logits in network(torch.randn(2, 3, 64, 96))]
    assert shapes == [(2, 7, 64 // s, 96 // s) for s in (8, 4, 8, 16, 32)]


@pytest.mark.parametrize(
    ("upsample", "expected"),
    [
        ("bilinear", [0, 0, 1, 3, 5, 7, 8, 8]),
        ("corners", [8 * n / 7 for n in range(8)]),
        ("nearest", [0, 0, 0, 0, 8, 8, 8, 8]),
        ("bed_of_nails", [0, 0, 0, 0, 8, 0, 0, 0]),
        ("transposed", [0, 0, 0, 0, 8, 8, 8, 8]),  # before it learns
    ],
)
def test_upsamplings_of_a_step(upsample: str, expected: list[float]) -> None:
    row = Enlarge(4.0, upsample, 1).requires_grad_(False)(torch.tensor([0.0, 8.0]).reshape(1, 1, 1, 2))[0, 0, 0]
    # Rounding of float32 alone.
    assert row.tolist() == pytest.approx(expected, abs=1e-6)


def test_unknown_upsampling_names_its_neighbour() -> None:
    with pytest.raises(UnknownNameError) as caught:
        shape_of(**{**FAMILY.variants["light"], "upsample": "nearst"})
    assert "nearst" in caught.value.message
    assert "nearest" in caught.value.hint


def test_a_shuffled_head_gives_a_logit_a_pixel() -> None:
    network = FAMILY.module(7, **{**FAMILY.variants["light"], "shuffle": True}).eval()
    assert network(torch.randn(1, 3, 64, 96)).shape == (1, 7, 64, 96)


def test_versions_with_the_same_weights_give_other_logits() -> None:
    state = adopt(coincheung()).state
    logits = {}
    for name in RESIZES:
        network = FAMILY.module(150, **{**FAMILY.variants["base"], "upsample": name}).eval()
        network.load_state_dict(state)
        with torch.inference_mode():
            logits[name] = network(golden_image(96, 160))
    most = logits["nearest"].abs().max()
    # A hundred times the tolerance that checkpoints of other code are held to.
    assert (logits["nearest"] - logits["bilinear"]).abs().max() > 1e-2 * most
    assert (logits["corners"] - logits["bilinear"]).abs().max() > 1e-2 * most


@pytest.mark.parametrize("variant", FAMILY.variants)
def test_variant_is_read_off_the_shapes(variant: str) -> None:
    text = variant_from_state(shape_of(**FAMILY.variants[variant]).state_dict())
    found = arguments_from_text(text, FAMILY.variants, family="bisenetv2")
    # The boosters are not in a deployed network.
    assert {**found, "booster": 0} == {**FAMILY.variants[variant], "booster": 0}


def coincheung(classes: int = 150) -> dict[str, Any]:
    """A checkpoint of CoinCheung/BiSeNet's own code, with another number of classes."""
    state = golden_state(read_lines(GOLDEN / "coincheung-bisenetv2-c.txt"))
    last = [key for key in state if key.startswith("head.conv_out")]
    return {key: value[:classes] if key in last else value for key, value in state.items()}


def test_a_backbone_without_a_head_is_refused() -> None:
    state = {key: value for key, value in coincheung().items() if key.startswith(("detail.", "segment.", "bga."))}
    with pytest.raises(MismatchError) as caught:
        adopt(state)
    assert "319 tensors" in caught.value.message
    assert "backbone_v2.pth" in caught.value.hint


@pytest.mark.parametrize(("classes", "red_mean"), [(19, 0.3257), (150, 0.49343230), (12, 0.4)])
def test_the_number_of_classes_chooses_the_statistics(classes: int, red_mean: float) -> None:
    adopted = adopt(coincheung(classes))
    assert (adopted.classes, adopted.input.mean[0]) == (classes, red_mean)
    assert ("normalised as custom data" in adopted.details) is (adopted.input is COINCHEUNG_CUSTOM)


def test_a_tensor_too_many_is_named() -> None:
    with pytest.raises(MismatchError, match=r"segment\.S6\.weight \(1,\)"):
        adopt({**coincheung(), "segment.S6.weight": torch.zeros(1)})


def test_a_tensor_too_few_is_named() -> None:
    state = coincheung()
    del state["head.conv.conv.weight"]
    with pytest.raises(MismatchError) as caught:
        adopt(state)
    assert "head.0.0.weight" in caught.value.message
