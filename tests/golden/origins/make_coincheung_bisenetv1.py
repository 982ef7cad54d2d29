"""Make the goldens coincheung-bisenetv1-{a,b,c} by running CoinCheung/BiSeNet's own code, with torch 2.13.

Save `bisenetv1.py` and `resnet.py` of its lib/models in three packages a, b and c (each with an empty __init__.py):

    a   commit 0471e808c0e048343bd6b5612c5e0e817dbf0391
    b   commit 12cd095c4824028f44b6af4617d440c2f2cd7578
    c   any commit since July 2021, such as its copy jangmin-deepx/BiSeNet f6cef1b8f65d99a96d3368057f03ff20f5285015

then run: python tests/golden/origins/make_coincheung_bisenetv1.py FOLDER_OF_THE_PACKAGES
"""

from __future__ import annotations

import importlib
import json
import sys
import types
from pathlib import Path
from typing import Any

import torch
import torch.utils.model_zoo

HERE = Path(__file__).parent
sys.path[:0] = [sys.argv[1], str(HERE.parents[1])]

from golden_weights import golden_image, golden_state, lines_from_state, sampled  # noqa: E402

SIZE = (64, 96)
WIDTHS = "resnet18?gate={gate}&head=256&upsample=nearest"
DIALECTS: dict[str, dict[str, Any]] = {
    "a": {"classes": 19, "variant": WIDTHS.format(gate=64), "align_corners": True},
    "b": {"classes": 150, "variant": WIDTHS.format(gate=64) + "&shuffle=true", "align_corners": False},
    "c": {"classes": 171, "variant": WIDTHS.format(gate=0), "align_corners": False},
}


def reference(dialect: str, classes: int) -> torch.nn.Module:
    """Its network with deterministic weights."""
    sys.modules.setdefault("torchvision", types.ModuleType("torchvision"))  # imported and not used
    torch.utils.model_zoo.load_url = lambda url: {}  # it asks for pretrained weights as it is built
    network: torch.nn.Module = importlib.import_module(f"{dialect}.bisenetv1").BiSeNetV1(classes).eval()
    network.load_state_dict(golden_state(lines_from_state(network.state_dict())))
    return network


def logits_of(network: torch.nn.Module, *, shuffle: bool, align_corners: bool) -> torch.Tensor:
    """The logits before any resizing; those of PixelShuffle are as large as the picture."""
    found: list[torch.Tensor] = []
    network.conv_out.conv_out.register_forward_hook(lambda layer, inputs, output: found.append(output))
    with torch.inference_mode():
        full: torch.Tensor = network(golden_image(*SIZE))[0]
    if shuffle:
        return full
    enlarged = torch.nn.functional.interpolate(found[0], SIZE, mode="bilinear", align_corners=align_corners)
    assert torch.allclose(full, enlarged, rtol=0, atol=1e-4 * float(full.abs().max()))  # as stated
    return found[0]


def make(dialect: str, facts: dict[str, Any]) -> None:
    """Write the golden of one dialect."""
    network = reference(dialect, facts["classes"])
    logits = logits_of(network, shuffle="shuffle" in facts["variant"], align_corners=facts["align_corners"])
    golden = {"origin": "coincheung-bisenetv1", "family": "bisenetv1", "input": SIZE, **facts}
    stem = HERE / f"coincheung-bisenetv1-{dialect}"
    lines = lines_from_state(network.state_dict())
    stem.with_suffix(".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    stem.with_suffix(".json").write_text(json.dumps({**golden, "logits": sampled(logits)}) + "\n", encoding="utf-8")


for name, stated in DIALECTS.items():
    make(name, stated)
