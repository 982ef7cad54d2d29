"""Make the goldens smp-unet and smp-unetplusplus by running segmentation_models_pytorch's own code.

pip install torch==2.13.0 numpy timm==1.0.20 segmentation-models-pytorch==0.6.0
python tests/golden/origins/make_smp_unets.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import segmentation_models_pytorch as smp
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from golden_weights import golden_image, golden_state, lines_from_state, sampled  # noqa: E402

SIZE = (64, 96)
NETWORKS = {"unet": smp.Unet, "unetplusplus": smp.UnetPlusPlus}

for family, build in NETWORKS.items():
    network = build("resnet18", encoder_weights=None, classes=11).eval()
    lines = lines_from_state(network.state_dict())
    network.load_state_dict(golden_state(lines))
    with torch.inference_mode():
        logits = network(golden_image(*SIZE))
    golden = {
        "origin": f"smp-{family}",
        "family": family,
        "input": SIZE,
        "classes": 11,
        "variant": "resnet34?encoder=resnet18",
        "align_corners": False,
        "logits": sampled(logits),
    }
    (HERE / f"smp-{family}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (HERE / f"smp-{family}.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")
