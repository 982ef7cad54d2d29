"""Make the goldens mmseg-hrnet and mmseg-ocrnet by running mmsegmentation's own code.

pip install torch==2.13.0 numpy opencv-python-headless
pip install --no-deps mmsegmentation==1.2.2 mmcv-lite==2.1.0 mmengine==0.10.7
pip install addict pyyaml rich termcolor yapf matplotlib packaging prettytable scipy pillow ftfy regex
python tests/golden/origins/make_mmseg_hrnet.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from unittest.mock import MagicMock

import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))
sys.modules["mmcv.ops"] = MagicMock()  # mmcv-lite has no compiled operators, and these networks need none

import mmseg.models  # noqa: E402
from golden_weights import golden_image, golden_state, lines_from_state, sampled  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402
from mmseg.registry import MODELS  # noqa: E402

SIZE = (64, 96)
CONFIGURATIONS = {
    "hrnet": "hrnet/fcn_hr18s_4xb2-160k_cityscapes-512x1024.py",
    "ocrnet": "ocrnet/ocrnet_hr18s_4xb2-160k_cityscapes-512x1024.py",
}

init_default_scope("mmseg")
for family, configuration in CONFIGURATIONS.items():
    path = Path(mmseg.__file__).parent / ".mim/configs" / configuration
    network = MODELS.build(Config.fromfile(str(path)).model).eval()
    lines = lines_from_state(network.state_dict())
    network.load_state_dict(golden_state(lines))
    assert network.align_corners is False
    heads = network.decode_head if family == "ocrnet" else [network.decode_head]
    with torch.inference_mode():
        features = network.extract_feat(golden_image(*SIZE))
        logits = heads[0](features)
        for head in heads[1:]:
            logits = head(features, logits)
    golden = {
        "origin": f"mmseg-{family}",
        "family": family,
        "input": SIZE,
        "classes": 19,
        "variant": "w18-small",
        "align_corners": False,
        "logits": sampled(logits),
    }
    (HERE / f"mmseg-{family}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (HERE / f"mmseg-{family}.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")
