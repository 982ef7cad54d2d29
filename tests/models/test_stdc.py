"""STDC-Seg: what its authors' batch norm computes, which no golden shows, since its weights are positive there."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from golden_weights import golden_state, read_lines  # noqa: E402

from edgeseg.models.checkpoint_formats import open_format  # noqa: E402

LINES = read_lines(Path(__file__).parents[1] / "golden" / "origins" / "michaelfan01-stdc.txt")


def test_norms_outside_the_backbone_scale_by_the_size_of_their_weights() -> None:
    state = golden_state(LINES)
    negative = {key: -value if value.ndim == 1 and key.endswith("weight") else value for key, value in state.items()}
    adopted, expected = (open_format("michaelfan01-stdc").adopt(each).state for each in (negative, state))
    inside = "context.backbone.stem.1.1.weight"
    assert torch.equal(adopted[inside], -expected[inside])
    norms = [
        key for key, value in adopted.items() if key.endswith("weight") and value.ndim == 1 and "backbone" not in key
    ]
    assert len(norms) == 9
    assert all(torch.equal(adopted[key], expected[key]) for key in norms)
    mean = "context.mean.1.weight"
    assert torch.equal(adopted[mean], state["cp.conv_avg.bn.weight"].abs() + 1e-5)
