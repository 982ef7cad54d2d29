"""Make the goldens of mmsegmentation's nets on a dilated ResNet by running its own code.

pip install torch==2.13.0 numpy opencv-python-headless
pip install --no-deps mmsegmentation==1.2.2 mmcv-lite==2.1.0 mmengine==0.10.7
pip install addict pyyaml rich termcolor yapf matplotlib packaging prettytable scipy pillow ftfy regex
python tests/golden/origins/make_mmseg_resnet.py [GOLDEN ...]
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

SIZE = (64, 96)  # maps of 8x12 at 1/8
CONFIGURATIONS = Path(mmseg.__file__).parent / ".mim/configs"
# golden -> configuration, family, variant
GOLDENS = {
    "mmseg-fcn-r18": ("fcn/fcn_r18-d8_4xb2-80k_cityscapes-512x1024", "fcn", "resnet18"),
    "mmseg-fcn-r18b": ("fcn/fcn_r18b-d8_4xb2-80k_cityscapes-512x1024", "fcn", "resnet18?trunk=torchvision"),
    "mmseg-pspnet-r18": ("pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024", "pspnet", "resnet18"),
    "mmseg-deeplabv3-r18": ("deeplabv3/deeplabv3_r18-d8_4xb2-80k_cityscapes-512x1024", "deeplabv3", "resnet18"),
    "mmseg-deeplabv3plus-r18": (
        "deeplabv3plus/deeplabv3plus_r18-d8_4xb2-80k_cityscapes-512x1024",
        "deeplabv3plus",
        "resnet18",
    ),
}


def reference(configuration: str) -> torch.nn.Module:
    """The network of its configuration with deterministic weights."""
    init_default_scope("mmseg")
    network = MODELS.build(Config.fromfile(str(CONFIGURATIONS / f"{configuration}.py")).model).eval()
    network.load_state_dict(golden_state(lines_from_state(network.state_dict())))
    assert network.align_corners is False
    return network


for name in sys.argv[1:] or GOLDENS:
    configuration, family, variant = GOLDENS[name]
    network = reference(configuration)
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
    lines = lines_from_state(network.state_dict())
    (HERE / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (HERE / f"{name}.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")
