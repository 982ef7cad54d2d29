"""Make the golden of hszhao/semseg's PSPNet by running its own code.

pip install torch==2.13.0 numpy
git clone https://github.com/hszhao/semseg && git -C semseg checkout 4f274c3
PYTHONPATH=semseg python tests/golden/origins/make_semseg.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from model.pspnet import PSPNet

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from golden_weights import golden_image, golden_state, lines_from_state, sampled  # noqa: E402

SIZE = (64, 96)
NAME = "semseg-pspnet"

network = PSPNet(layers=50, classes=19, pretrained=False).eval()
network.load_state_dict(golden_state(lines_from_state(network.state_dict())))
x = golden_image(*SIZE)
with torch.inference_mode():  # its forward takes sides of 8k+1 only, and enlarges the logits
    for part in (network.layer0, network.layer1, network.layer2, network.layer3, network.layer4, network.ppm):
        x = part(x)
    logits = network.cls(x)
golden = {
    "origin": NAME,
    "family": "pspnet",
    "input": SIZE,
    "classes": 19,
    "variant": "resnet50?trunk=semseg&port=semseg",
    "align_corners": True,
    "logits": sampled(logits),
}
lines = lines_from_state(network.state_dict())
(HERE / f"{NAME}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
(HERE / f"{NAME}.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")
