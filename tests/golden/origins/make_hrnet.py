"""Make the goldens hrnet-hrnet and hrnet-ocrnet by running the authors' own code, with torch 2.13.

pip install torch==2.13.0 numpy pyyaml yacs
Clone HRNet/HRNet-Semantic-Segmentation twice, branches pytorch-v1.1 (88419ab) and HRNet-OCR (0bbb288), then run:

    python tests/golden/origins/make_hrnet.py THE_CLONE_OF_V1.1 THE_CLONE_OF_OCR
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy
import torch
import yaml

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from golden_weights import golden_image, golden_state, lines_from_state, sampled  # noqa: E402

SIZE = (64, 96)
SMALL = "experiments/cityscapes/seg_hrnet_w18_small_v2_512x1024_sgd_lr1e-2_wd5e-4_bs_12_epoch484.yaml"
V1, OCR = map(Path, sys.argv[1:3])

numpy.int = int  # type: ignore[attr-defined]  # as it was until numpy 1.24
torch.nn.SyncBatchNorm = torch.nn.BatchNorm2d  # type: ignore[misc]  # computes the same, on a GPU alone
for package in ("models", "models.sync_bn", "models.sync_bn.inplace_abn", "models.sync_bn.inplace_abn.bn"):
    sys.modules[package] = ModuleType(package)
sys.modules["models"].__path__ = [str(OCR / "lib" / "models")]
sys.modules["models.sync_bn.inplace_abn.bn"].InPlaceABNSync = torch.nn.BatchNorm2d  # type: ignore[attr-defined]


def module(path: Path) -> ModuleType:
    """One file of its package."""
    spec = importlib.util.spec_from_file_location(f"models.{path.stem}", path)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    loaded.__package__ = "models"
    spec.loader.exec_module(loaded)
    return loaded


class Settings(SimpleNamespace):
    """Keys as attributes and as items, as yacs has them."""

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)


def settings(values: Any) -> Any:
    """`values` with dictionaries as Settings."""
    return Settings(**{key: settings(value) for key, value in values.items()}) if isinstance(values, dict) else values


def make(family: str, variant: str, aligned: bool, network: torch.nn.Module) -> None:
    """Write one golden."""
    lines = lines_from_state(network.eval().state_dict())
    network.load_state_dict(golden_state(lines))
    with torch.inference_mode():
        outputs = network(golden_image(*SIZE))
    golden = {
        "origin": f"hrnet-{family}",
        "family": family,
        "input": SIZE,
        "classes": 19,
        "variant": variant,
        "align_corners": aligned,
        "logits": sampled(outputs[-1] if isinstance(outputs, list) else outputs),
    }
    (HERE / f"hrnet-{family}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (HERE / f"hrnet-{family}.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")


extra = settings(yaml.safe_load((V1 / SMALL).read_text())["MODEL"]["EXTRA"])
data = Settings(NUM_CLASSES=19)
model = Settings(EXTRA=extra, ALIGN_CORNERS=True, OCR=Settings(MID_CHANNELS=512, KEY_CHANNELS=256))
configuration = Settings(MODEL=model, DATASET=data)
make("hrnet", "w18-small", False, module(V1 / "lib/models/seg_hrnet.py").HighResolutionNet(configuration))
ocr = module(OCR / "lib/models/seg_hrnet_ocr.py")
make("ocrnet", "w18-small?upsample=corners", True, ocr.HighResolutionNet(configuration))
