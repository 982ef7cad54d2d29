"""UPerNet on a Swin Transformer against transformers, and what its windows are."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from edgeseg.models.checkpoint_formats import recognised  # noqa: E402
from edgeseg.models.swin import (  # noqa: E402
    MASKED,
    map_from_windows,
    relative_positions,
    rolled,
    shift_mask,
    windows_from_map,
)
from edgeseg.models.upernet import FAMILY  # noqa: E402

TINY = FAMILY.variants["tiny"]


def reference() -> Any:
    """transformers' network of the variant `tiny`, every weight and every BN statistic random."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers = pytest.importorskip("transformers")
        backbone = transformers.SwinConfig(
            embed_dim=TINY["embed"],
            depths=list(TINY["depths"]),
            num_heads=list(TINY["heads"]),
            window_size=TINY["window"],
            out_features=[f"stage{n}" for n in (1, 2, 3, 4)],
        )
        config = transformers.UperNetConfig(
            backbone_config=backbone, num_labels=5, hidden_size=TINY["width"], auxiliary_in_channels=4 * TINY["embed"]
        )
        network = transformers.UperNetForSemanticSegmentation(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.running_mean.normal_()
                layer.running_var.uniform_(0.5, 2)
    return network


def test_logits_are_those_of_the_reference_implementation(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = reference()
    theirs.save_pretrained(tmp_path)
    state = safetensors.load_file(tmp_path / "model.safetensors")
    adopted = recognised(state, path="model.safetensors").adopt(state)
    assert (adopted.variant, adopted.classes, adopted.align_corners) == ("tiny", 5, False)
    ours = FAMILY.module(5, **TINY).eval()
    ours.load_state_dict(adopted.state)
    # Maps that windows of 4 divide, that they do not, and that are smaller than one.
    for height, width in [(128, 256), (160, 96), (32, 64)]:
        image = torch.randn(2, 3, height, width)
        with torch.no_grad():
            expected, logits = theirs(image).logits, ours(image)
        assert logits.std() > 0.1  # else the comparison below would say nothing
        whole = torch.nn.functional.interpolate(logits, (height, width), mode="bilinear", align_corners=False)
        # Sums in another order: float32 rounding.
        assert (whole - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_rolling_is_torchs() -> None:
    x = torch.randn(2, 5, 7, 3)
    for by in (0, 1, 3, -3, 4):
        assert torch.equal(rolled(x, by, (5, 7)), x.roll((-by, -by), (1, 2)))
        assert torch.equal(rolled(x, by, (4, 6)), x.roll((-by, -by), (1, 2))[:, :4, :6])


def test_windows_are_squares_and_go_back_to_their_places() -> None:
    x = torch.arange(6 * 9.0).reshape(1, 6, 9, 1)
    windows = windows_from_map(x, 3)
    assert torch.equal(windows[0, 1], x[0, :3, 3:6].reshape(9, 1))
    assert torch.equal(map_from_windows(windows, (6, 9), 3), x)


def test_a_shift_masks_tokens_that_the_border_of_the_map_separates() -> None:
    places = torch.stack(torch.meshgrid(torch.arange(8), torch.arange(12), indexing="ij"), -1)[None]
    before = windows_from_map(rolled(places, 2, (8, 12)), 4)[0]
    far = (before[:, :, None] - before[:, None]).abs().amax(-1) >= 4
    assert torch.equal(shift_mask((8, 12), 4, 2)[:, 0] == MASKED, far)


def test_relative_positions_tell_displacements_apart() -> None:
    index = relative_positions(4)
    row, column = torch.arange(16) // 4, torch.arange(16) % 4
    displacement = torch.stack([row[:, None] - row, column[:, None] - column], -1).reshape(-1, 2)
    pairs = torch.cat([displacement, index.reshape(-1, 1)], 1).unique(dim=0)
    assert len(pairs) == len(pairs[:, :2].unique(dim=0)) == len(pairs[:, 2].unique()) == 49
