"""Make the golden nvlabs-segformer by running the code of NVlabs/SegFormer.

That code is of 2021 and wants an mmcv that no longer builds. What this network does not compute with is stubbed.

git clone https://github.com/NVlabs/SegFormer
pip install torch==2.13.0 numpy opencv-python-headless
pip install --no-deps mmcv-lite==2.1.0 mmengine==0.10.7
pip install addict pyyaml rich termcolor yapf packaging pillow
python tests/golden/origins/make_nvlabs_segformer.py SegFormer
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import mmcv.cnn
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from golden_weights import golden_image, golden_state, lines_from_state, sampled  # noqa: E402

SIZE = (96, 160)
FACTS: dict[str, Any] = {"classes": 19, "variant": "b0?norm_eps=1e-06", "align_corners": False}
WIDTHS = [32, 64, 160, 256]


class Kept:
    """A registry, or a decorator with arguments, that leaves what it decorates as it is."""

    def register_module(self) -> Any:
        """The decorator."""
        return lambda decorated: decorated

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The decorator."""
        return lambda decorated: decorated


def stub(name: str, **members: Any) -> None:
    """A module `name` with these members; a folder of the clone where there is one."""
    module = ModuleType(name)
    folder = Path(sys.argv[1], *name.split("."))
    module.__path__ = [str(folder)] if folder.is_dir() else []
    vars(module).update(members)
    sys.modules[name] = module


def identity(decorated: Any) -> Any:
    """What it is given."""
    return decorated


mmcv.cnn.normal_init = None  # of mmcv 1.x, for training alone
stub("mmcv.runner", auto_fp16=Kept(), force_fp32=Kept(), load_checkpoint=None)
stub("mmseg")
stub("mmseg.ops", resize=torch.nn.functional.interpolate)
stub("mmseg.core", build_pixel_sampler=None)
stub("mmseg.utils", get_root_logger=None)
stub("mmseg.models")
stub("mmseg.models.builder", BACKBONES=Kept(), HEADS=Kept(), build_loss=lambda config: None)
stub("mmseg.models.utils")
stub("mmseg.models.losses", accuracy=None)
stub("mmseg.models.backbones")
stub("mmseg.models.decode_heads")
stub("timm")
stub("timm.models")
stub("timm.models.layers", DropPath=torch.nn.Dropout, to_2tuple=lambda x: (x, x), trunc_normal_=torch.nn.init.normal_)
stub("timm.models.registry", register_model=identity)
stub("timm.models.vision_transformer", _cfg=None)
sys.modules.update({"IPython": MagicMock(), "attr": sys.modules.get("attr") or MagicMock()})


class Network(torch.nn.Module):
    """Backbone and head as local_configs/segformer/B0/segformer.b0.1024x1024.city.160k.py puts them together."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = importlib.import_module("mmseg.models.backbones.mix_transformer").mit_b0()
        self.decode_head = importlib.import_module("mmseg.models.decode_heads.segformer_head").SegFormerHead(
            in_channels=WIDTHS,
            in_index=[0, 1, 2, 3],
            feature_strides=[4, 8, 16, 32],
            channels=128,
            num_classes=19,
            norm_cfg={"type": "BN"},
            align_corners=False,
            decoder_params={"embed_dim": 256},
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) to logits (N, 19, H/4, W/4)."""
        logits: torch.Tensor = self.decode_head(self.backbone(image))
        return logits


network = Network().eval()
network.load_state_dict(golden_state(lines_from_state(network.state_dict())))
with torch.inference_mode():
    logits = network(golden_image(*SIZE))
golden = {"origin": "nvlabs-segformer", "family": "segformer", "input": SIZE, **FACTS, "logits": sampled(logits)}
lines = lines_from_state(network.state_dict())
(HERE / "nvlabs-segformer.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
(HERE / "nvlabs-segformer.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")
