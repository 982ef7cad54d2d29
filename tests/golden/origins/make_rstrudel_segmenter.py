"""Make the goldens rstrudel-segmenter and rstrudel-segmenter-deit by running rstrudel/segmenter's own code.

What of timm its network does not compute with is stubbed: the release that it wants is of 2021.

git clone https://github.com/rstrudel/segmenter && git -C segmenter checkout 20d1bfa
pip install torch==2.13.0 numpy einops
python tests/golden/origins/make_rstrudel_segmenter.py segmenter
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

HERE = Path(__file__).parent
sys.path[:0] = [sys.argv[1], str(HERE.parents[1])]

from golden_weights import golden_image, golden_state, lines_from_state, sampled  # noqa: E402

SIZE = (96, 160)  # 6x10 patches: the 8x8 positions are resized
SIDE, CHANNELS, LAYERS, CLASSES = 128, 128, 2, 5


def stub(name: str, **members: Any) -> None:
    """A module `name` with these members."""
    sys.modules[name] = ModuleType(name)
    vars(sys.modules[name]).update(members)


stub("timm")
stub("timm.models")
stub("timm.models.layers", DropPath=torch.nn.Dropout, trunc_normal_=torch.nn.init.trunc_normal_)
stub("timm.models.vision_transformer", _load_weights=None)

from segm.model.decoder import MaskTransformer  # noqa: E402
from segm.model.segmenter import Segmenter  # noqa: E402
from segm.model.vit import VisionTransformer  # noqa: E402


def reference(distilled: bool) -> torch.nn.Module:
    """The network as segm/model/factory.py puts it together, with deterministic weights."""
    heads, wide = CHANNELS // 64, 4 * CHANNELS
    encoder = VisionTransformer((SIDE, SIDE), 16, LAYERS, CHANNELS, wide, heads, n_cls=10, distilled=distilled)
    decoder = MaskTransformer(CLASSES, 16, CHANNELS, 2, heads, CHANNELS, wide, drop_path_rate=0.0, dropout=0.1)
    network = Segmenter(encoder, decoder, n_cls=CLASSES).eval()
    network.load_state_dict(golden_state(lines_from_state(network.state_dict())))
    return network


for name, distilled in (("rstrudel-segmenter", False), ("rstrudel-segmenter-deit", True)):
    network = reference(distilled)
    image = golden_image(*SIZE)
    with torch.inference_mode():
        tokens = network.encoder(image, return_features=True)[:, 1 + distilled :]
        logits = network.decoder(tokens, SIZE)
        whole = torch.nn.functional.interpolate(logits, SIZE, mode="bilinear", align_corners=False)
        torch.testing.assert_close(network(image), whole)
    first = "&first=2" if distilled else ""
    golden = {
        "origin": "rstrudel-segmenter",
        "family": "segmenter",
        "input": SIZE,
        "classes": CLASSES,
        "variant": f"t-mask?channels={CHANNELS}&depth={LAYERS}&heads=2&grid=8&resize=bilinear&eps=1e-05{first}",
        "align_corners": False,
        "logits": sampled(logits),
    }
    lines = lines_from_state(network.state_dict())
    (HERE / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (HERE / f"{name}.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")
