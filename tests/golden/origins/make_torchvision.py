"""Make the goldens of torchvision's segmentation networks by running its own code.

pip install torch==2.13.0 torchvision==0.28.0 numpy
python tests/golden/origins/make_torchvision.py [GOLDEN ...]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torchvision.models import segmentation

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from golden_weights import golden_image, golden_state, lines_from_state, sampled  # noqa: E402

SIZE = (64, 96)
# golden -> function of torchvision, family, variant
GOLDENS = {
    "torchvision-deeplabv3": (
        "deeplabv3_resnet50",
        "deeplabv3",
        "resnet50?channels=256&trunk=torchvision&port=torchvision",
    ),
    "torchvision-fcn": ("fcn_resnet50", "fcn", "resnet50?trunk=torchvision&port=torchvision"),
}

for name in sys.argv[1:] or GOLDENS:
    function, family, variant = GOLDENS[name]
    build = getattr(segmentation, function)
    network = build(weights=None, weights_backbone=None, num_classes=21, aux_loss=True).eval()
    network.load_state_dict(golden_state(lines_from_state(network.state_dict())))
    with torch.inference_mode():
        logits = network.classifier(network.backbone(golden_image(*SIZE))["out"])
    golden = {
        "origin": f"torchvision-{family}",
        "family": family,
        "input": SIZE,
        "classes": 21,
        "variant": variant,
        "align_corners": False,
        "logits": sampled(logits),
    }
    lines = lines_from_state(network.state_dict())
    (HERE / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (HERE / f"{name}.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")
