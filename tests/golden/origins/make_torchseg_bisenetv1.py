"""Make the goldens torchseg-bisenetv1-{x39,r18} by running yu-changqian/TorchSeg's own code, with torch 2.13.

Clone it (read at commit 99ab13dfb04cbeeb6321dc4e34a22efe20c3940a), then run:

    python tests/golden/origins/make_torchseg_bisenetv1.py THE_CLONE
"""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from pathlib import Path

import torch

HERE = Path(__file__).parent
CLONE = Path(sys.argv[1])
sys.path[:0] = [str(CLONE / "furnace"), str(HERE.parents[1])]

from golden_weights import golden_image, golden_state, lines_from_state, sampled  # noqa: E402

SIZE = (64, 96)
CLASSES = 19
VARIANTS = {"x39": "xception39?upsample=corners", "r18": "resnet18?upsample=corners"}


def reference(name: str) -> torch.nn.Module:
    """Its network with deterministic weights; its configs need folders of a training, two of their values matter."""
    config = types.SimpleNamespace(num_classes=CLASSES, bn_eps=1e-5, bn_momentum=0.1)
    sys.modules["config"] = types.ModuleType("config")
    vars(sys.modules["config"])["config"] = config
    path = CLONE / f"model/bisenet/cityscapes.bisenet.{name.upper()}/network.py"
    found = importlib.util.spec_from_file_location(name, path)
    assert found
    assert found.loader
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    criteria = (None, None) if name == "x39" else (None,)
    network: torch.nn.Module = module.BiSeNet(CLASSES, False, *criteria).eval()
    network.load_state_dict(golden_state(lines_from_state(network.state_dict())))
    return network


def make(name: str) -> None:
    """Write the golden of one backbone."""
    network = reference(name)
    found: list[torch.Tensor] = []
    network.heads[2].conv_1x1.register_forward_hook(lambda layer, inputs, output: found.append(output))
    with torch.inference_mode():
        full = network(golden_image(*SIZE))
        enlarged = torch.nn.functional.interpolate(found[0], SIZE, mode="bilinear", align_corners=True)
    assert torch.allclose(full, enlarged.log_softmax(1), rtol=0, atol=1e-4 * float(full.abs().max()))  # aligned corners
    golden = {
        "origin": "torchseg-bisenetv1",
        "family": "bisenetv1",
        "input": SIZE,
        "classes": CLASSES,
        "variant": VARIANTS[name],
        "align_corners": True,
        "logits": sampled(found[0]),
    }
    stem = HERE / f"torchseg-bisenetv1-{name}"
    lines = lines_from_state(network.state_dict())
    stem.with_suffix(".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    stem.with_suffix(".json").write_text(json.dumps(golden) + "\n", encoding="utf-8")


for variant in VARIANTS:
    make(variant)
