"""Make the goldens mmseg-cgnet and mmseg-fastscnn by running mmsegmentation's own code: see make_mmseg_icnet.py.

python tests/golden/origins/make_mmseg_light.py
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
CONFIGURATIONS = Path(mmseg.__file__).parent / ".mim/configs/_base_/models"

init_default_scope("mmseg")
for name, family, variant, changes in (
    ("cgnet", "cgnet", "m3n21?blocks=3,5", {"num_blocks": (3, 5)}),
    ("fast_scnn", "fastscnn", "mmseg", {}),
):
    model = Config.fromfile(str(CONFIGURATIONS / f"{name}.py")).model
    model.backbone.update(changes)
    network = MODELS.build(model).eval()
    lines = lines_from_state(network.state_dict())
    network.load_state_dict(golden_state(lines))
    with torch.inference_mode():
        logits = network.decode_head(network.extract_feat(golden_image(*SIZE)))
    golden = {
        "origin": f"mmseg-{family}",
        "family": family,
        "input": SIZE,
        "classes": 19,
        "variant": variant,
        "align_corners": False,
        "logits": sampled(logits),
    }
    (HERE / f"mmseg-{family}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (HERE / f"mmseg-{family}.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")
