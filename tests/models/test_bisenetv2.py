"""BiSeNetV2's size, its booster heads, and the meaning of its two upsamplings."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from edgeseg.models.bisenetv2 import FAMILY, enlarge  # noqa: E402
from edgeseg.models.count import count  # noqa: E402


def shape_of(**variant: Any) -> Any:
    """The network without values: enough to count."""
    with torch.device("meta"):
        return FAMILY.module(19, **variant)


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


def test_booster_heads_cost_nothing_once_deployed() -> None:
    deployed, training = (shape_of(auxiliary=on, **FAMILY.variants["light"]) for on in (False, True))
    assert count(training, 256, 128).macs == count(deployed, 256, 128).macs
    assert count(training, 256, 128).parameters > count(deployed, 256, 128).parameters


def test_training_gives_the_logits_of_head_and_four_boosters() -> None:
    network = FAMILY.module(7, auxiliary=True, **FAMILY.variants["light"]).train()
    shapes = [tuple(logits.shape) for logits in network(torch.randn(2, 3, 64, 96))]
    assert shapes == [(2, 7, 64 // s, 96 // s) for s in (8, 4, 8, 16, 32)]


def test_upsampling_is_bilinear_with_half_pixel_centres() -> None:
    row = enlarge(torch.tensor([0.0, 8.0]).reshape(1, 1, 1, 2))[0, 0, 0]
    assert row.tolist() == [0, 0, 1, 3, 5, 7, 8, 8]
