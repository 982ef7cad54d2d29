"""Make the golden michaelfan01-stdc by running the authors' own code, with torch 2.13.

Clone MichaelFan01/STDC-Seg (read at commit 59ff37f), then run:

    python tests/golden/origins/make_michaelfan01_stdc.py THE_CLONE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import torch

HERE = Path(__file__).parent
sys.path[:0] = [sys.argv[1], str(HERE.parents[1])]

from golden_weights import golden_image, golden_state, lines_from_state, sampled  # noqa: E402

SIZE = (64, 96)


class InPlaceABNSync(torch.nn.Module):
    """What modules/src/inplace_abn_cpu.cpp computes in inference, without its compilation, activation "none"."""

    def __init__(self, features: int, activation: str) -> None:
        super().__init__()
        assert activation == "none"
        self.weight = torch.nn.Parameter(torch.ones(features))
        self.bias = torch.nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))

    def forward(self, x: Any) -> Any:
        gamma = self.weight.abs() + 1e-5
        return torch.nn.functional.batch_norm(x, self.running_mean, self.running_var, gamma, self.bias, False, 0, 1e-5)


norms = ModuleType("modules.bn")
vars(norms)["InPlaceABNSync"] = InPlaceABNSync
package = ModuleType("modules")
package.__path__ = []
sys.modules |= {"modules": package, "modules.bn": norms, "torchvision": MagicMock()}

from models.model_stages import BiSeNet  # noqa: E402

network = BiSeNet("STDCNet813", 19).eval()
state = golden_state(lines_from_state(network.state_dict()))
network.load_state_dict(state)
for alias, first in (("x8", 2), ("x16", 4), ("x32", 6)):  # loading wrote the aliases last: the features have the golden
    blocks = getattr(network.cp.backbone, alias)[0]
    for number, block in enumerate(blocks):
        prefix = f"cp.backbone.features.{first + number}."
        block.load_state_dict(
            {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        )
for alias, number in (("x2", 0), ("x4", 1)):
    prefix = f"cp.backbone.features.{number}."
    kernel = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    getattr(network.cp.backbone, alias)[0][0].load_state_dict(kernel)
outputs: list[torch.Tensor] = []
network.conv_out.register_forward_hook(lambda layer, inputs, output: outputs.append(output))
with torch.inference_mode():
    full, *_ = network(golden_image(*SIZE))
    enlarged = torch.nn.functional.interpolate(outputs[0], SIZE, mode="bilinear", align_corners=True)
assert torch.equal(full, enlarged)
golden = {
    "origin": "michaelfan01-stdc",
    "family": "stdc",
    "input": SIZE,
    "classes": 19,
    "variant": "stdc1",
    "align_corners": True,
    "logits": sampled(outputs[0]),
}
lines = lines_from_state(network.state_dict())
(HERE / "michaelfan01-stdc.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
(HERE / "michaelfan01-stdc.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")
