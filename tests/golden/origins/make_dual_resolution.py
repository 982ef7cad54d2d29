"""Make the goldens ydhonghit-ddrnet and xujiacong-pidnet-{s,l} by running the authors' own codes, with torch 2.13.

Clone both (read at commits de0db31 and 4c158cf), then run:

    python tests/golden/origins/make_dual_resolution.py THE_CLONE_OF_DDRNET THE_CLONE_OF_PIDNET
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import torch

HERE = Path(__file__).parent
DDRNET, PIDNET = map(Path, sys.argv[1:3])
sys.path[:0] = [str(DDRNET / "segmentation"), str(PIDNET), str(HERE.parents[1])]

from golden_weights import golden_image, golden_state, lines_from_state, sampled  # noqa: E402

SIZE = (160, 224)  # maps of 10x14, 5x7 and 3x4: sides of odd size


def pidnet() -> ModuleType:
    """Its module, without the package's other networks, which need more."""
    package = ModuleType("models")
    package.__path__ = [str(PIDNET / "models")]
    sys.modules["models"] = package
    return importlib.import_module("models.pidnet")


def make(name: str, origin: str, variant: str, aligned: bool, trained: torch.nn.Module, deployed: str) -> None:
    """Write one golden. trained: with the heads for training. deployed: the last layer of the main head."""
    network = trained.eval()
    network.load_state_dict(golden_state(lines_from_state(network.state_dict())))
    outputs: list[torch.Tensor] = []
    network.get_submodule(deployed).register_forward_hook(lambda layer, inputs, output: outputs.append(output))
    with torch.inference_mode():
        network(golden_image(*SIZE))
    (logits,) = outputs
    golden = {
        "origin": origin,
        "family": origin.partition("-")[2],
        "input": SIZE,
        "classes": 19,
        "variant": variant,
        "align_corners": aligned,
        "logits": sampled(logits),
    }
    lines = lines_from_state(network.state_dict())
    (HERE / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (HERE / f"{name}.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")


last = "final_layer.conv2"
ddr = importlib.import_module("DDRNet_23_slim")
ddr.BatchNorm2d = torch.nn.BatchNorm2d  # SyncBatchNorm computes the same, on a GPU alone
slim = ddr.DualResNet(ddr.BasicBlock, [2, 2, 2, 2], 19, planes=32, spp_planes=128, head_planes=64, augment=True)
make("ydhonghit-ddrnet", "ydhonghit-ddrnet", "23-slim", False, slim, last)
pid = pidnet()
make("xujiacong-pidnet-s", "xujiacong-pidnet", "s", True, pid.PIDNet(2, 3, 19, 32, 96, 128), last)
narrow = pid.PIDNet(3, 4, 19, planes=8, ppm_planes=16, head_planes=16)
make("xujiacong-pidnet-l", "xujiacong-pidnet", "l?width=8&pyramid=16&head_width=16", True, narrow, last)
