"""Make the goldens of UPerNet (on Swin and ResNet), Segmenter and DPT by running mmsegmentation's own code.

Its configurations with fewer channels and blocks: the published networks have up to 110 million weights.
To install: see make_mmseg_icnet.py.
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

CONFIGURATIONS = Path(mmseg.__file__).parent / ".mim/configs"
CLASSES = 5
NETS: dict[str, dict[str, Any]] = {
    "mmseg-upernet": {
        "configuration": "swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py",
        "backbone": {"embed_dims": 24, "depths": [2, 1, 2, 2], "num_heads": [1, 2, 4, 8], "init_cfg": None},
        "decode_head": {"in_channels": [24, 48, 96, 192], "channels": 32, "num_classes": CLASSES},
        "auxiliary_head": {"in_channels": 96, "channels": 16, "num_classes": CLASSES},
        "variant": "swin-t?embed=24&depths=2,1,2,2&heads=1,2,4,8&width=32",
        "input": (160, 288),  # maps of 40x72, 20x36, 10x18 and 5x9: the window of 7 divides none of them
    },
    "mmseg-upernet-resnet": {
        "configuration": "upernet/upernet_r18_4xb4-80k_ade20k-512x512.py",
        "backbone": {"base_channels": 16, "stem_channels": 16},
        "decode_head": {"in_channels": [16, 32, 64, 128], "channels": 32, "num_classes": CLASSES},
        "auxiliary_head": {"in_channels": 64, "channels": 16, "num_classes": CLASSES},
        "variant": "resnet50?backbone=resnet18&embed=16&width=32",
        "input": (160, 288),  # maps of 5x9 at 1/32: sides that no number of bins divides
    },
    "mmseg-segmenter": {
        "configuration": "segmenter/segmenter_vit-t_mask_8xb1-160k_ade20k-512x512.py",
        "backbone": {"embed_dims": 128, "num_heads": 2, "num_layers": 2, "img_size": (128, 128)},
        "decode_head": {"in_channels": 128, "channels": 128, "embed_dims": 128, "num_heads": 2, "num_classes": CLASSES},
        "variant": "t-mask?channels=128&depth=2&heads=2&grid=8",
        "input": (96, 160),  # 6x10 patches: the 8x8 positions are resized
    },
    "mmseg-dpt": {
        "configuration": "dpt/dpt_vit-b16_8xb2-160k_ade20k-512x512.py",
        "backbone": {"embed_dims": 128, "num_heads": 2, "num_layers": 4, "out_indices": (0, 1, 2, 3), "img_size": 128},
        "decode_head": {
            "in_channels": [128] * 4,
            "embed_dims": 128,
            "post_process_channels": [16, 24, 32, 40],
            "channels": 32,
            "num_classes": CLASSES,
        },
        "variant": "vit-b16?channels=128&depth=4&heads=2&grid=8&middles=16,24,32,40&width=32",
        "input": (96, 160),
    },
}


def reference(changes: dict[str, Any]) -> torch.nn.Module:
    """The network of its configuration, changed, with deterministic weights."""
    init_default_scope("mmseg")
    model = Config.fromfile(str(CONFIGURATIONS / changes["configuration"])).model
    model.pretrained = None
    for part in ("backbone", "decode_head", "auxiliary_head"):
        if model.get(part):
            model[part].update(changes.get(part, {}))
    network = MODELS.build(model).eval()
    own = network.state_dict()
    # The index of positions is computed, and no weight.
    indices = {key: value for key, value in own.items() if key.endswith("relative_position_index")}
    network.load_state_dict({**golden_state(lines_from_state(own)), **indices})
    assert network.align_corners is False
    return network


for name, changes in NETS.items():
    network = reference(changes)
    with torch.inference_mode():
        logits = network.decode_head(network.extract_feat(golden_image(*changes["input"])))
    golden = {
        "origin": name,
        "family": name.split("-")[1],
        "input": changes["input"],
        "classes": CLASSES,
        "variant": changes["variant"],
        "align_corners": False,
        "logits": sampled(logits),
    }
    lines = lines_from_state(network.state_dict())
    (HERE / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (HERE / f"{name}.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")
