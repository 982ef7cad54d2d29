"""Make the goldens mmseg-bisenetv1-{r18,r50} by running mmsegmentation's own code.

pip install torch==2.13.0 numpy opencv-python-headless
pip install --no-deps mmsegmentation==1.2.2 mmcv-lite==2.1.0 mmengine==0.10.7
pip install addict pyyaml rich termcolor yapf matplotlib packaging prettytable scipy pillow ftfy regex
python tests/golden/origins/make_mmseg_bisenetv1.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from unittest.mock import MagicMock

import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))
sys.modules["mmcv.ops"] = MagicMock()  # mmcv-lite has no compiled operators, and this network needs none

import mmseg.models  # noqa: E402
from golden_weights import golden_image, golden_state, lines_from_state, sampled  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402
from mmseg.registry import MODELS  # noqa: E402

SIZE = (64, 96)
CLASSES = 19
CONFIGS = {
    "r18": "bisenetv1_r18-d32_4xb4-160k_cityscapes-1024x1024.py",
    "r50": "bisenetv1_r50-d32_4xb4-160k_cityscapes-1024x1024.py",
}
WIDE = "backbone=resnet50&spatial=256,256,256,512&context=512&fused=1024"
VARIANTS = {
    "r18": "resnet18?gate=0&gate_relu=true&head=256&upsample=nearest",
    "r50": f"resnet18?{WIDE}&gate=0&gate_relu=true&head=1024&upsample=nearest",
}


def reference(name: str) -> torch.nn.Module:
    """The network of its configuration with deterministic weights."""
    init_default_scope("mmseg")
    path = Path(mmseg.__file__).parent / ".mim/configs/bisenetv1" / CONFIGS[name]
    network: torch.nn.Module = MODELS.build(Config.fromfile(str(path)).model).eval()
    network.load_state_dict(golden_state(lines_from_state(network.state_dict())))
    assert network.align_corners is False
    return network


def make(name: str) -> None:
    """Write the golden of one backbone."""
    network = reference(name)
    with torch.inference_mode():
        logits = network.decode_head(network.backbone(golden_image(*SIZE)))
    golden = {
        "origin": "mmseg-bisenetv1",
        "family": "bisenetv1",
        "input": SIZE,
        "classes": CLASSES,
        "variant": VARIANTS[name],
        "align_corners": False,
        "logits": sampled(logits),
    }
    stem = HERE / f"mmseg-bisenetv1-{name}"
    lines = lines_from_state(network.state_dict())
    stem.with_suffix(".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    stem.with_suffix(".json").write_text(json.dumps(golden) + "\n", encoding="utf-8")


for variant in VARIANTS:
    make(variant)
