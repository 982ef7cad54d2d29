"""Make the golden mmseg-bisenetv2 by running mmsegmentation's own code.

pip install torch==2.13.0 numpy opencv-python-headless
pip install --no-deps mmsegmentation==1.2.2 mmcv-lite==2.1.0 mmengine==0.10.7
pip install addict pyyaml rich termcolor yapf matplotlib packaging prettytable scipy pillow ftfy regex
python tests/golden/origins/make_mmseg_bisenetv2.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
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

SIZE = (96, 160)
FACTS: dict[str, Any] = {"classes": 19, "variant": "base?pointwise_bias=true", "align_corners": False}


def reference() -> torch.nn.Module:
    """The network of its base configuration with deterministic weights."""
    init_default_scope("mmseg")
    configuration = Path(mmseg.__file__).parent / ".mim/configs/_base_/models/bisenetv2.py"
    network = MODELS.build(Config.fromfile(str(configuration)).model).eval()
    network.load_state_dict(golden_state(lines_from_state(network.state_dict())))
    assert network.align_corners is FACTS["align_corners"]
    return network


network = reference()
with torch.inference_mode():
    logits = network.decode_head(network.backbone(golden_image(*SIZE)))
golden = {"origin": "mmseg-bisenetv2", "family": "bisenetv2", "input": SIZE, **FACTS, "logits": sampled(logits)}
lines = lines_from_state(network.state_dict())
(HERE / "mmseg-bisenetv2.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
(HERE / "mmseg-bisenetv2.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")
