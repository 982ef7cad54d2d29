"""Make the goldens mmseg-icnet-r18 and -r50 by running mmsegmentation's own code.

pip install torch==2.13.0 numpy opencv-python-headless
pip install --no-deps mmsegmentation==1.2.2 mmcv-lite==2.1.0 mmengine==0.10.7
pip install addict pyyaml rich termcolor yapf matplotlib packaging prettytable scipy pillow ftfy regex
python tests/golden/origins/make_mmseg_icnet.py
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

SIZE = (224, 416)  # maps of 7x13 at 1/32: sides that no pyramid level but the first divides
CONFIGURATIONS = Path(mmseg.__file__).parent / ".mim/configs/icnet"


def reference(depth: int) -> torch.nn.Module:
    """The network of its configuration with deterministic weights."""
    init_default_scope("mmseg")
    configuration = CONFIGURATIONS / f"icnet_r{depth}-d8_4xb2-80k_cityscapes-832x832.py"
    network = MODELS.build(Config.fromfile(str(configuration)).model).eval()
    network.load_state_dict(golden_state(lines_from_state(network.state_dict())))
    assert network.align_corners is False
    return network


for depth in (18, 50):
    network = reference(depth)
    with torch.inference_mode():
        logits = network.decode_head(network.extract_feat(golden_image(*SIZE)))
    golden = {
        "origin": "mmseg-icnet",
        "family": "icnet",
        "input": SIZE,
        "classes": 19,
        "variant": f"resnet{depth}?" + ("pyramid=512&port=mmseg" if depth == 18 else "port=mmseg"),
        "align_corners": False,
        "logits": sampled(logits),
    }
    lines = lines_from_state(network.state_dict())
    (HERE / f"mmseg-icnet-r{depth}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (HERE / f"mmseg-icnet-r{depth}.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")
