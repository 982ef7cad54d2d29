"""The same network in torch on the CPU, eager or compiled, asked for turns by `table.py`.

    python benchmarks/peers/torch_turns.py MODEL --frames FRAMES.npz [--size 1024x512] [--mode compile] [--bf16]

Around it is what people write with torch: cv2.resize, normalisation in torch, `interpolate` of the logits to the
frame's size, `argmax`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate
from turns import Images, parser_of, serve, versions_of

from edgeseg.export.model import source_from_model
from edgeseg.models import open_family
from edgeseg.spec import size_from_text

MODES = ("eager", "compile")


class TorchNetwork:
    """The network with its weights, in evaluation mode."""

    def __init__(self, options: argparse.Namespace, images: Images) -> None:
        torch.set_num_threads(options.threads)
        cv2.setNumThreads(options.threads)
        source = source_from_model(options.model, size_from_text(options.size) if options.size else None)
        self._input = source.spec.input
        network: Any = open_family(source.spec.family).load(source.spec, source.state)
        self._network: Callable[[Tensor], Tensor] = torch.compile(network) if options.mode == "compile" else network
        self._cast: Callable[[], AbstractContextManager[Any]] = nullcontext
        if options.bf16:
            self._cast = lambda: torch.autocast("cpu", torch.bfloat16)
        self._mean, self._std = (
            torch.tensor(values).view(1, 3, 1, 1) for values in (source.spec.input.mean, source.spec.input.std)
        )
        self._prepared = self._image(images[0])
        precision = "bf16" if options.bf16 else "fp32"
        runtime, versions = f"torch {options.mode}", {**versions_of("torch"), "opencv": cv2.__version__}
        self.facts = {"precision": precision, "runtime": runtime, "versions": versions}

    def _image(self, bgr: np.ndarray) -> Tensor:
        image = cv2.resize(bgr, (self._input.width, self._input.height))
        if self._input.color == "rgb":
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        planes = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        return ((planes - self._mean) / self._std).contiguous()

    def engine(self) -> Tensor:
        with torch.inference_mode(), self._cast():
            return self._network(self._prepared)

    def frame(self, bgr: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            with self._cast():
                logits = self._network(self._image(bgr))
            full = interpolate(logits.float(), bgr.shape[:2], mode="bilinear", align_corners=False)
            labels: np.ndarray = full.argmax(1)[0].numpy()
        return labels


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("model", metavar="MODEL", help="a bundled name or a weights file")
    parser.add_argument("--size", metavar="WIDTHxHEIGHT", help="the model's own unless given")
    parser.add_argument("--mode", choices=MODES, default="eager")
    parser.add_argument("--bf16", action="store_true", help="under autocast")
    serve(TorchNetwork, parser.parse_args())


if __name__ == "__main__":
    main()
