"""Make the goldens of segmentation_models_pytorch's nets on a ResNet by running its own code.

pip install torch==2.13.0 torchvision==0.28.0 segmentation-models-pytorch==0.6.0
python tests/golden/origins/make_smp_resnet.py [GOLDEN ...]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import segmentation_models_pytorch
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from golden_weights import golden_image, golden_state, lines_from_state, sampled  # noqa: E402

SIZE = (64, 96)
# golden -> class, encoder, family, variant
GOLDENS = {
    "smp-deeplabv3plus": (
        "DeepLabV3Plus",
        "resnet18",
        "deeplabv3plus",
        "resnet18?channels=256&low=48&trunk=smp&port=smp",
    ),
    "smp-pspnet": ("PSPNet", "resnet18", "pspnet", "resnet18?channels=512&trunk=smp&port=smp"),
}

for name in sys.argv[1:] or GOLDENS:
    kind, encoder, family, variant = GOLDENS[name]
    network = getattr(segmentation_models_pytorch, kind)(encoder, encoder_weights=None, classes=11).eval()
    network.load_state_dict(golden_state(lines_from_state(network.state_dict())))
    with torch.inference_mode():
        features = network.decoder(network.encoder(golden_image(*SIZE)))
        logits = network.segmentation_head[0](features)  # before it enlarges them
    golden = {
        "origin": f"smp-{family}",
        "family": family,
        "input": SIZE,
        "classes": 11,
        "variant": variant,
        "align_corners": True,
        "logits": sampled(logits),
    }
    lines = lines_from_state(network.state_dict())
    (HERE / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (HERE / f"{name}.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")
