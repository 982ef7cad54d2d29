"""Make the goldens of context and attention heads by running mmsegmentation's own code, with ResNet18 for speed.

pip install torch==2.13.0 numpy opencv-python-headless
pip install --no-deps mmsegmentation==1.2.2 mmcv-lite==2.1.0 mmengine==0.10.7
pip install addict pyyaml rich termcolor yapf matplotlib packaging prettytable scipy pillow ftfy regex
python tests/golden/origins/make_mmseg_context.py SEMSEG [FAMILY ...]

SEMSEG: a checkout of hszhao/semseg, whose kernel mmcv compiles as PSAMask and mmcv-lite lacks.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))


def operator(module: str, name: str) -> Any:
    """An operator of mmcv that needs nothing compiled, from its own file: mmcv-lite does not import it."""
    path = Path(importlib.util.find_spec("mmcv").origin).parent / "ops" / f"{module}.py"
    spec = importlib.util.spec_from_file_location(f"mmcv_{module}", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return getattr(loaded, name)


class PSAMask(torch.nn.Module):
    """mmcv's operator, by the kernel that it is a copy of."""

    def __init__(self, kind: str, size: tuple[int, int]) -> None:
        super().__init__()
        self.kind, self.size = ("collect", "distribute").index(kind), size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, _, *sides = x.shape
        result = torch.zeros(batch, sides[0] * sides[1], *sides)
        halves = [(side - 1) // 2 for side in self.size]
        src.cpu.psamask_forward(self.kind, x.contiguous(), result, batch, *sides, *self.size, *halves)
        return result


sys.path.insert(0, sys.argv[1])
from lib.psa import src  # noqa: E402

sys.modules["mmcv.ops"] = MagicMock()
sys.modules["mmcv.ops"].point_sample = operator("point_sample", "point_sample")
sys.modules["mmcv.ops"].PSAMask = PSAMask
sys.modules["mmcv.ops"].CrissCrossAttention = operator("cc_attention", "CrissCrossAttention")

import mmseg.models  # noqa: E402
from golden_weights import golden_image, golden_state, lines_from_state, sampled  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402
from mmseg.registry import MODELS  # noqa: E402

MODEL_FILES = Path(mmseg.__file__).parent / ".mim/configs/_base_/models"
SIZE = (104, 128)  # maps of 13x16 at 1/8: one side that no number of bins divides, and odd
POINTREND_SIZE = (128, 192)  # its second step takes a third of all points, its first one all
USUAL = {"in_channels": 512, "channels": 128}
# family -> configuration, and what ResNet18 changes in its head.
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "ann": ("ann_r50-d8", {"in_channels": [256, 512], "channels": 128, "project_channels": 64}),
    "ccnet": ("ccnet_r50-d8", USUAL),
    "danet": ("danet_r50-d8", {**USUAL, "pam_channels": 16}),
    "encnet": ("encnet_r50-d8", {"in_channels": [128, 256, 512], "channels": 128}),
    "gcnet": ("gcnet_r50-d8", USUAL),
    "nonlocalnet": ("nonlocal_r50-d8", USUAL),
    "pointrend": ("pointrend_r50", {}),
    "psanet": ("psanet_r50-d8", {**USUAL, "mask_size": (12, 12)}),  # of 11x15 offsets: beyond the map and within it
}


def reference(family: str) -> torch.nn.Module:
    """The network with deterministic weights."""
    configuration, head = NETWORKS[family]
    model = Config.fromfile(str(MODEL_FILES / f"{configuration}.py")).model
    model.pretrained = None
    model.backbone.depth = 18
    if family == "pointrend":
        model.neck.update(in_channels=[64, 128, 256, 512], out_channels=64)
        model.decode_head[0].update(in_channels=[64] * 4, channels=32)
        model.decode_head[1].update(in_channels=[64], channels=64)
    else:
        model.decode_head.update(head)
        model.auxiliary_head.update(in_channels=256, channels=64)
    network = MODELS.build(model).eval()
    network.load_state_dict(golden_state(lines_from_state(network.state_dict())))
    assert network.align_corners is False
    return network


def logits_of(network: torch.nn.Module, image: torch.Tensor) -> torch.Tensor:
    """What the network gives, before it is resized to the image."""
    if isinstance(network.decode_head, torch.nn.ModuleList):
        return network.encode_decode(image, [{"img_shape": image.shape[2:]}])  # of the image's size already
    outputs = network.decode_head(network.extract_feat(image))
    return outputs[0] if isinstance(outputs, tuple) else outputs


init_default_scope("mmseg")
for family in sys.argv[2:] or NETWORKS:
    network = reference(family)
    size = POINTREND_SIZE if family == "pointrend" else SIZE
    with torch.inference_mode():
        logits = logits_of(network, golden_image(*size))
    variants = {"pointrend": "resnet50?depth=18&channels=64", "psanet": "resnet18?mask=12"}
    golden = {
        "origin": f"mmseg-{family}",
        "family": family,
        "input": size,
        "classes": 19,
        "variant": variants.get(family, "resnet18"),
        "align_corners": False,
        "logits": sampled(logits),
    }
    lines = lines_from_state(network.state_dict())
    (HERE / f"mmseg-{family}-r18.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (HERE / f"mmseg-{family}-r18.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")
