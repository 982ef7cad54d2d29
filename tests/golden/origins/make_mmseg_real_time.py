"""Make the goldens mmseg-ddrnet, mmseg-pidnet-{s,l} and mmseg-stdc by running mmsegmentation's own code.

Install as make_mmseg_icnet.py says, then: python tests/golden/origins/make_mmseg_real_time.py
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
sys.modules["mmcv.ops"] = MagicMock()  # mmcv-lite has no compiled operators, and these networks need none

import mmseg.models  # noqa: E402
from golden_weights import golden_image, golden_state, lines_from_state, sampled  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402
from mmseg.registry import MODELS  # noqa: E402

SIZE = (160, 224)  # maps of 10x14, 5x7 and 3x4 in DDRNet and PIDNet: sides of odd size
CONFIGURATIONS = Path(mmseg.__file__).parent / ".mim/configs"
NARROW = {"channels": 8, "ppm_channels": 16}


def reference(path: str, backbone: dict[str, Any], head: dict[str, Any]) -> torch.nn.Module:
    """The network of a configuration, with changes and deterministic weights."""
    init_default_scope("mmseg")
    model = Config.fromfile(str(CONFIGURATIONS / path)).model
    model.backbone.update(backbone, init_cfg=None)
    if "backbone_cfg" in model.backbone:
        model.backbone.backbone_cfg.update(init_cfg=None)
    model.decode_head.update(head)
    network = MODELS.build(model).eval()
    network.load_state_dict(golden_state(lines_from_state(network.state_dict())))
    return network


def make(name: str, family: str, variant: str, network: torch.nn.Module) -> None:
    """Write one golden."""
    with torch.inference_mode():
        logits = network.decode_head(network.extract_feat(golden_image(*SIZE)))
    golden = {
        "origin": f"mmseg-{family}",
        "family": family,
        "input": SIZE,
        "classes": 19,
        "variant": variant,
        "align_corners": network.align_corners,
        "logits": sampled(logits),
    }
    lines = lines_from_state(network.state_dict())
    (HERE / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (HERE / f"{name}.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")


DDRNET = "ddrnet/ddrnet_23-slim_in1k-pre_2xb6-120k_cityscapes-1024x1024.py"
PIDNET = "pidnet/pidnet-{}_2xb6-120k_1024x1024-cityscapes.py"
make("mmseg-ddrnet", "ddrnet", "23-slim", reference(DDRNET, {}, {}))
make("mmseg-pidnet-s", "pidnet", "s", reference(PIDNET.format("s"), {}, {}))
narrow = reference(PIDNET.format("l"), NARROW, {"in_channels": 32, "channels": 16})
make("mmseg-pidnet-l", "pidnet", "l?width=8&pyramid=16&head_width=16", narrow)
make("mmseg-stdc", "stdc", "stdc2", reference("stdc/stdc2_4xb12-80k_cityscapes-512x1024.py", {}, {}))
