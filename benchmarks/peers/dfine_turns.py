"""D-FINE-seg's semantic segmentation with its own code around it, asked for turns by `table.py`.

    python benchmarks/peers/dfine_turns.py --frames FRAMES.npz [--weights dfine_sem_n_cityscapes.pt]

Another network, of 19 classes. Without --weights it has random ones: its times are those of trained ones, its labels
mean nothing. It runs in an environment of its own.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
import torchvision_operators  # noqa: F401
from dfine_seg.infer.torch_model import TorchModel
from dfine_seg.model.dfine import build_model
from turns import Images, parser_of, serve, versions_of

CLASSES = 19


def random_weights(name: str, folder: Path) -> Path:
    """A checkpoint of the network with random weights."""
    torch.manual_seed(0)
    path = folder / f"dfine_sem_{name}.pt"
    torch.save(build_model(name, CLASSES, False, "cpu", task="sem_seg").state_dict(), path)
    return path


class DFine:
    """The model in its wrapper for torch."""

    def __init__(self, options: argparse.Namespace, images: Images) -> None:
        torch.set_num_threads(options.threads)
        width, height = map(int, options.size.split("x"))
        with tempfile.TemporaryDirectory() as folder:
            weights = options.weights or random_weights(options.name, Path(folder))
            self._model = TorchModel(
                str(weights), input_width=width, input_height=height, keep_ratio=False, device="cpu", task="sem_seg"
            )
        self._prepared = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
        self.facts = {
            "precision": "fp32",
            "runtime": "torch eager",
            "versions": versions_of("dfine-seg", "torch", "torchvision"),
            "network": f"D-FINE-seg-{self._model.model_name.upper()}",
            "note": "" if options.weights else "random weights",
        }

    def engine(self) -> object:
        with torch.inference_mode():
            return self._model.model(self._prepared)

    def frame(self, bgr: np.ndarray) -> np.ndarray:
        labels: np.ndarray = self._model(bgr)[0]["sem_seg"].numpy()
        return labels


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--size", default="1024x512", metavar="WIDTHxHEIGHT")
    parser.add_argument("--name", choices=tuple("nsmlx"), default="n", help="which of its sizes")
    parser.add_argument("--weights", type=Path, help="a checkpoint; random unless given")
    serve(DFine, parser.parse_args())


if __name__ == "__main__":
    main()
