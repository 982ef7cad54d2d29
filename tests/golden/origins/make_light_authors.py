"""Make the goldens of CGNet, DABNet, ESPNet and Tramac's Fast-SCNN by running their codes.

git clone https://github.com/wutianyiRosun/CGNet, Reagan1311/DABNet, sacmehta/ESPNet and Tramac/Fast-SCNN-pytorch
pip install torch==2.13.0 numpy
python tests/golden/origins/make_light_authors.py CGNet DABNet ESPNet Fast-SCNN-pytorch
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from golden_weights import golden_image, golden_state, lines_from_state, sampled  # noqa: E402

SIZE = (64, 96)


def module(path: str) -> Any:
    """The Python file at `path`."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def write(network: torch.nn.Module, name: str, family: str, variant: str, classes: int, **facts: Any) -> None:
    """Both files of one golden. A network that enlarges its logits is asked for those before."""
    network.eval()
    lines = lines_from_state(network.state_dict())
    network.load_state_dict(golden_state(lines))
    logits: list[torch.Tensor] = []
    network.classifier.register_forward_hook(lambda layer, inputs, output: logits.append(output))
    with torch.inference_mode():
        network(golden_image(*SIZE))
    golden = {
        "origin": name,
        "family": family,
        "input": SIZE,
        "classes": classes,
        "variant": variant,
        "align_corners": False,
        **facts,
        "logits": sampled(logits[0]),
    }
    (HERE / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (HERE / f"{name}.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")


cgnet, dabnet, espnet, fastscnn = sys.argv[1:]
write(
    module(f"{cgnet}/model/CGNet.py").Context_Guided_Network(11, 3, 5),
    "wutianyi-cgnet", "cgnet", "m3n21?blocks=3,5", 11,
)  # fmt: skip
write(module(f"{dabnet}/model/DABNet.py").DABNet(19), "reagan-dabnet", "dabnet", "base", 19)
write(module(f"{espnet}/train/Model.py").ESPNet(20, 2, 3), "sacmehta-espnet", "espnet", "p2q3", 20)
write(
    module(f"{fastscnn}/models/fast_scnn.py").FastSCNN(19, aux=True),
    "tramac-fastscnn", "fastscnn", "tramac", 19, align_corners=True,
)  # fmt: skip
