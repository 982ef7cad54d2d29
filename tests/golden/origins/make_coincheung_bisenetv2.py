"""Make the goldens coincheung-bisenetv2-{a,b,c} by running CoinCheung/BiSeNet's own code, with torch 2.13.

Save three versions of its network, by commit, as a.py, b.py and c.py in a folder of their own:

    a   bisenetv2/bisenetv2.py    81a88852fa50eee96738d72f4dbfa2de108bf3e9
    b   lib/models/bisenetv2.py   12cd095c4824028f44b6af4617d440c2f2cd7578
    c   lib/models/bisenetv2.py   08e0726f42094ef8f0af08d340ee73bf338d54a5

then run: python tests/golden/origins/make_coincheung_bisenetv2.py THAT_FOLDER
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.utils.model_zoo

HERE = Path(__file__).parent
sys.path[:0] = [sys.argv[1], str(HERE.parents[1])]

from golden_weights import golden_image, golden_state, lines_from_state, sampled  # noqa: E402

SIZE = (96, 160)
DIALECTS: dict[str, dict[str, Any]] = {
    "a": {"classes": 19, "variant": "base?upsample=corners", "align_corners": True},
    "b": {"classes": 19, "variant": "base?upsample=nearest&shuffle=true", "align_corners": False},
    "c": {"classes": 150, "variant": "base?upsample=nearest", "align_corners": False},
}


def reference(dialect: str, classes: int) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Its network with deterministic weights, and the layer whose output is the logits before any resizing."""
    torch.utils.model_zoo.load_url = lambda url: {}  # version c asks for pretrained weights as it is built
    network = importlib.import_module(dialect).BiSeNetV2(classes).eval()
    network.load_state_dict(golden_state(lines_from_state(network.state_dict())))
    last = network.head.conv_out
    return network, {"a": lambda: last, "b": lambda: last, "c": lambda: last[1]}[dialect]()


def make(dialect: str, facts: dict[str, Any]) -> None:
    """Write the golden of one dialect."""
    network, last = reference(dialect, facts["classes"])
    found: list[torch.Tensor] = []
    last.register_forward_hook(lambda layer, inputs, output: found.append(output))
    with torch.inference_mode():
        full = network(golden_image(*SIZE))[0]
        enlarged = torch.nn.functional.interpolate(
            found[0], SIZE, mode="bilinear", align_corners=facts["align_corners"]
        )
    assert torch.allclose(full, enlarged, rtol=0, atol=1e-4 * float(full.abs().max()))  # align_corners is as stated
    golden = {
        "origin": "coincheung-bisenetv2",
        "family": "bisenetv2",
        "input": SIZE,
        **facts,
        "logits": sampled(found[0]),
    }
    stem = HERE / f"coincheung-bisenetv2-{dialect}"
    lines = lines_from_state(network.state_dict())
    stem.with_suffix(".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    stem.with_suffix(".json").write_text(json.dumps(golden) + "\n", encoding="utf-8")


for name, stated in DIALECTS.items():
    make(name, stated)
