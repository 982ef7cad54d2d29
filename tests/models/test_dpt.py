"""DPT against transformers."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from edgeseg.errors import MismatchError  # noqa: E402
from edgeseg.export.adoption import adoption_from_file  # noqa: E402
from edgeseg.models.dpt import FAMILY  # noqa: E402

VARIANT = "vit-b16?channels=128&depth=4&heads=2&grid=6&resize=bilinear&eps=1e-12&middles=8,16,24,32&width=16"


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """transformers' network with two heads of 64 channels and four blocks, all random, and its folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers = pytest.importorskip("transformers")
        torch.manual_seed(0)
        config = transformers.DPTConfig(
            hidden_size=128,
            num_hidden_layers=4,
            num_attention_heads=2,
            intermediate_size=512,
            image_size=96,
            backbone_out_indices=[0, 1, 2, 3],
            neck_hidden_sizes=[8, 16, 24, 32],
            fusion_hidden_size=16,
            use_batch_norm_in_fusion_residual=True,
            num_labels=5,
        )
        network = transformers.DPTForSemanticSegmentation(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.running_mean.normal_()
                layer.running_var.uniform_(0.5, 2)
    folder = tmp_path_factory.mktemp("hub") / "dpt"
    network.save_pretrained(folder)
    return network, folder


def test_logits_are_those_of_the_reference_implementation(theirs: tuple[Any, Path]) -> None:
    network, folder = theirs
    adopted = adoption_from_file(folder / "model.safetensors", size=(128, 96))
    spec = adopted.spec
    assert (spec.family, spec.variant, len(spec.labels), spec.align_corners) == ("dpt", VARIANT, 5, True)
    ours = FAMILY.load(spec, adopted.state)
    for side in (96, 160):  # the 6x6 positions as they are, and resized; their reassembling takes squares alone
        image = torch.randn(2, 3, side, side)
        with torch.no_grad():
            expected, logits = network(image).logits, ours(image)
        assert logits.std() > 0.1  # else the comparison below would say nothing
        whole = torch.nn.functional.interpolate(logits, scale_factor=2.0, mode="bilinear", align_corners=True)
        # Sums in another order: float32 rounding.
        assert (whole - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_attention_heads", 4),
        ("readout_type", "add"),
        ("backbone_out_indices", [0, 1, 3]),
        ("layer_norm_eps", 1e-6),
    ],
)
def test_what_shapes_do_not_tell_is_read_in_the_config(
    theirs: tuple[Any, Path], tmp_path: Path, key: str, value: Any
) -> None:
    (tmp_path / "model.safetensors").symlink_to(theirs[1] / "model.safetensors")
    config = json.loads((theirs[1] / "config.json").read_text("utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**config, key: value}), "utf-8")
    with pytest.raises(MismatchError) as caught:
        adoption_from_file(tmp_path / "model.safetensors")
    assert f"{key} {value}" in caught.value.message
