"""Make the golden semseg-psanet by running hszhao/semseg's own code.

pip install torch==2.13.0 numpy ninja
git clone https://github.com/hszhao/semseg && git -C semseg checkout 4f274c3
python tests/golden/origins/make_semseg_psanet.py semseg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

HERE = Path(__file__).parent
sys.path[:0] = [sys.argv[1], str(HERE.parents[1])]

from golden_weights import golden_image, golden_state, lines_from_state, sampled  # noqa: E402
from model.psanet import PSANet  # noqa: E402

SIZE = (72, 104)  # maps of 9x13 at 1/8; as at its own sizes of multiples of 16 plus 1
MASK = 11  # of 9x13 offsets: beyond the map and within it


def logits_of(network: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What forward does behind its check of the size, at 1/8."""
    for part in (network.layer0, network.layer1, network.layer2, network.layer3, network.layer4, network.psa):
        x = part(x)
    return network.cls(x)


network = PSANet(layers=50, classes=19, mask_h=MASK, mask_w=MASK, pretrained=False).eval()
lines = lines_from_state(network.state_dict())
network.load_state_dict(golden_state(lines))
with torch.inference_mode():
    whole = golden_image(SIZE[0], SIZE[1])
    logits = logits_of(network, whole)
    usual = golden_image(SIZE[0], SIZE[1])[..., :-7, :-7]
    resized = F.interpolate(logits_of(network, usual), usual.shape[2:], mode="bilinear", align_corners=True)
    torch.testing.assert_close(network(usual), resized)
golden = {
    "origin": "semseg-psanet",
    "family": "psanet",
    "input": SIZE,
    "classes": 19,
    "variant": f"resnet50?mask={MASK}&port=semseg",
    "align_corners": True,
    "logits": sampled(logits),
}
(HERE / "semseg-psanet.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
(HERE / "semseg-psanet.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")
