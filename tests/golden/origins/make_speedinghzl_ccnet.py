"""Make the golden speedinghzl-ccnet by running speedinghzl/CCNet's own code, with the blocks of ResNet50 for speed.

pip install torch==2.13.0 numpy
git clone https://github.com/speedinghzl/CCNet && git -C CCNet checkout 1fae6c6
python tests/golden/origins/make_speedinghzl_ccnet.py CCNet
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from unittest.mock import MagicMock

import torch
import torch.nn.functional as F

HERE = Path(__file__).parent
sys.path[:0] = [sys.argv[1], str(HERE.parents[1])]


class InPlaceABN(torch.nn.BatchNorm2d):
    """What inplace_abn (mapillary) computes: src/inplace_abn_cpu.cpp, inplace_abn/abn.py."""

    def __init__(self, channels: int, activation: str = "leaky_relu", **options: bool) -> None:
        super().__init__(channels, **options)
        self.activation = activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.weight.abs() + self.eps
        x = F.batch_norm(x, self.running_mean, self.running_var, weight, self.bias, eps=self.eps)
        return F.leaky_relu(x, 0.01) if self.activation == "leaky_relu" else x


for module in ("inplace_abn", "utils.pyt_utils"):
    sys.modules[module] = MagicMock()
sys.modules["inplace_abn"].InPlaceABNSync = InPlaceABN
torch.Tensor.cuda = lambda tensor: tensor  # it builds a constant on the GPU

from golden_weights import golden_image, golden_state, lines_from_state, sampled  # noqa: E402
from networks.ccnet import Bottleneck, ResNet  # noqa: E402

SIZE = (72, 104)

network = ResNet(Bottleneck, [3, 4, 6, 3], 19, None, recurrence=2).eval()
# At its own sizes, multiples of 8 plus 1, rounding up makes no difference; at this size it adds a row and a column.
network.maxpool.ceil_mode = False
lines = lines_from_state(network.state_dict())
network.load_state_dict(golden_state(lines))
with torch.inference_mode():
    logits, _ = network(golden_image(*SIZE))
golden = {
    "origin": "speedinghzl-ccnet",
    "family": "ccnet",
    "input": SIZE,
    "classes": 19,
    "variant": "resnet50?port=ccnet",
    "align_corners": True,
    "logits": sampled(logits),
}
(HERE / "speedinghzl-ccnet.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
(HERE / "speedinghzl-ccnet.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")
