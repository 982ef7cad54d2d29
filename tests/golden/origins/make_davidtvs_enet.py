"""Make the goldens davidtvs-enet and davidtvs-enet-2018 by running davidtvs/PyTorch-ENet's own code.

git clone https://github.com/davidtvs/PyTorch-ENet; pip install torch==2.13.0 numpy
python tests/golden/origins/make_davidtvs_enet.py PyTorch-ENet
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from golden_weights import golden_image, golden_state, lines_from_state, sampled  # noqa: E402

SIZE = (64, 96)
VERSIONS = {"": ("e17d404", 20, "base"), "-2018": ("b651fe0", 12, "overlapping")}
torch.set_num_threads(1)  # else the order in which max_unpool2d writes is not fixed

for suffix, (commit, classes, variant) in VERSIONS.items():
    shown = ["git", "-C", sys.argv[1], "show", f"{commit}:models/enet.py"]
    module = ModuleType("enet")
    exec(subprocess.run(shown, check=True, capture_output=True, text=True).stdout, module.__dict__)
    network = module.ENet(classes).eval()
    lines = lines_from_state(network.state_dict())
    network.load_state_dict(golden_state(lines))
    with torch.inference_mode():
        logits = network(golden_image(*SIZE))
    golden = {
        "origin": "davidtvs-enet",
        "family": "enet",
        "input": SIZE,
        "classes": classes,
        "variant": variant,
        "align_corners": False,
        "logits": sampled(logits),
    }
    (HERE / f"davidtvs-enet{suffix}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (HERE / f"davidtvs-enet{suffix}.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")
