"""Make the goldens of wkentaro/pytorch-fcn by running its own code.

pip install torch==2.13.0 numpy
git clone https://github.com/wkentaro/pytorch-fcn && git -C pytorch-fcn checkout 4b98850
PYTHONPATH=pytorch-fcn python tests/golden/origins/make_wkentaro_fcn.py

Its networks have no argument for their width: each convolution is exchanged for one of an eighth of its channels, fc6
and fc7 of a 64th, which leaves the forward as it is and the goldens small. Transposed convolutions keep their own
bilinear weights.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from unittest.mock import MagicMock

import torch
from torch import nn

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))
for module in (
    "torchvision",
    "fcn",
    "fcn.data",
    "torchfcn.datasets",
    "torchfcn.trainer",
    "torchfcn.utils",
    "torchfcn.ext",
):
    sys.modules[module] = MagicMock()  # what downloads, reads and trains

from golden_weights import golden_image, golden_state, lines_from_state, sampled  # noqa: E402
from torchfcn.models import FCN8s, FCN16s, FCN32s  # noqa: E402

SIZE, CLASSES = (64, 96), 21
NARROW = "width=8&hidden=64"
VARIANTS = {
    8: (FCN8s, f"8s-border?{NARROW}"),
    16: (FCN16s, f"16s?{NARROW}&border=100"),
    32: (FCN32s, f"32s?{NARROW}&border=100"),
}


def narrowed(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer with fewer channels, but for the image's and the classes'."""
    narrow = {3: 3, CLASSES: CLASSES, 4096: 64}
    channels, out = (narrow.get(width, width // 8) for width in (layer.in_channels, layer.out_channels))
    return nn.Conv2d(channels, out, layer.kernel_size, padding=layer.padding)


for finest, (kind, variant) in VARIANTS.items():
    network = kind(CLASSES).eval()
    for name, layer in list(network.named_children()):
        if isinstance(layer, nn.Conv2d):
            setattr(network, name, narrowed(layer))
    lines = lines_from_state(network.state_dict())
    state = {key: value for key, value in golden_state(lines).items() if not key.startswith("upscore")}
    network.load_state_dict({**network.state_dict(), **state})
    with torch.inference_mode():
        logits = network(golden_image(*SIZE))
    golden = {
        "origin": "wkentaro-fcnvgg",
        "family": "fcnvgg",
        "input": SIZE,
        "classes": CLASSES,
        "variant": variant,
        "align_corners": False,
        "logits": sampled(logits),
    }
    (HERE / f"wkentaro-fcn{finest}s.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (HERE / f"wkentaro-fcn{finest}s.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")
