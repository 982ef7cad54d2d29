"""Small segmentation ONNX files as other people export them, in every layout, with random weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from small_onnx import onnx_model

from edgeseg.artifact import read_onnx
from edgeseg.errors import EdgeSegError
from edgeseg.graph.adopt.adopt import Adoption, adopt_onnx
from edgeseg.graph.adopt.request import AdoptionRequest
from edgeseg.synthetic.camera import SMALLEST, StreetCamera

HEIGHT, WIDTH = 32, 64
CLASSES = 5
STATED = AdoptionRequest(color="rgb", normalize="imagenet")
FLOAT, UINT8, INT64 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT64


class Net:
    """A network that grows node by node: `x` names its last tensor."""

    def __init__(self, *, opset: int = 17, nhwc: bool = False, dtype: int = FLOAT, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.opset, self.nodes, self.outputs = opset, [], []
        self.constants: dict[str, np.ndarray] = {}
        self.input = ("image", dtype, (1, HEIGHT, WIDTH, 3) if nhwc else (1, 3, HEIGHT, WIDTH))
        self.x = "image"
        if nhwc:
            self.add("Transpose", perm=[0, 3, 1, 2])
        if dtype == UINT8:
            self.add("Cast", to=FLOAT)
            self.add("Mul", self.constant(np.float32(1 / 100)))

    def constant(self, values: Any) -> str:
        name = f"k{len(self.constants)}"
        self.constants[name] = np.asarray(values)
        return name

    def add(self, op: str, *more: str, domain: str = "", **attributes: Any) -> Net:
        name = f"{op}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [self.x, *more], [name], f"n{name}", domain=domain, **attributes))
        self.x = name
        return self

    def conv(self, channels: int, out: int, *, stride: int = 1, norm: bool = False) -> Net:
        weight = self.rng.normal(0, (2 / channels / 9) ** 0.5, (out, channels, 3, 3)).astype(np.float32)
        bias = self.rng.normal(0, 0.1, out).astype(np.float32)
        inputs = (self.constant(weight), self.constant(bias))
        self.add("Conv", *inputs, strides=[stride] * 2, pads=[1] * 4, kernel_shape=[3, 3])
        if norm:
            parts = (self.constant(np.abs(self.rng.normal(1, 0.3, out)).astype(np.float32)) for _ in range(4))
            self.add("BatchNormalization", *parts, epsilon=1e-3)
        return self

    def body(self, classes: int = CLASSES, *, norm: bool = True) -> Net:
        """Two convolutions: logits of a quarter of the input's width."""
        return self.conv(3, 8, stride=2, norm=norm).add("Relu").conv(8, classes, stride=2)

    def resize(self, mode: str = "half_pixel", kind: str = "linear") -> Net:
        channels = self.constant(np.array([1, CLASSES, HEIGHT, WIDTH], np.int64))
        self.nodes.append(
            helper.make_node(
                "Resize", [self.x, "", "", channels], ["large"], mode=kind, coordinate_transformation_mode=mode
            )
        )
        self.x = "large"
        return self

    def out(self, shape: Sequence[Any], dtype: int = FLOAT) -> Net:
        self.outputs.append((self.x, dtype, shape))
        return self

    def proto(self) -> Any:
        return onnx_model(self.nodes, [self.input], self.outputs, self.constants, opset=self.opset)

    def save(self, path: Path, change: Callable[[Any], None] | None = None) -> Path:
        proto = self.proto()
        if change is not None:
            change(proto)
        onnx.save(proto, path)
        return path


QUARTER = (1, CLASSES, HEIGHT // 4, WIDTH // 4)


def plain(**options: Any) -> Net:
    """A picture to logits at a quarter of its size."""
    return Net(**options).body().out(QUARTER)


def street_frames(width: int, height: int) -> list[np.ndarray]:
    """A few frames of the street camera, (height, width, 3), or noise where they are too small for a street."""
    if min(width, height) < SMALLEST:
        return list(np.random.default_rng(0).integers(0, 256, (4, height, width, 3), np.uint8))
    return [StreetCamera(seed=seed, width=width, height=height).render(0)[0] for seed in range(4)]


def adopted(
    folder: Path, net: Net, request: AdoptionRequest = STATED, change: Callable[[Any], None] | None = None
) -> Adoption:
    """What adopt makes of `net`."""
    return adopt_onnx(net.save(folder / "net.onnx", change), request, folder / "out", frames=street_frames)


FRAME = street_frames(WIDTH, HEIGHT)[0]


def run(made: Adoption, rgb: np.ndarray = FRAME) -> np.ndarray:
    """What the deploy graph gives for one frame."""
    session = onnxruntime.InferenceSession(made.artifact.path, providers=["CPUExecutionProvider"])
    (value,) = session.run(None, {"rgb": rgb[None]})
    return np.asarray(value)


def fact(made: Adoption, what: str) -> str:
    """The value and reason of one line of the table."""
    return next(f"{fact.value}: {fact.reason}" for fact in made.properties if fact.what == what)


def operators(made: Adoption) -> list[str]:
    """The operators of the deploy graph, in order."""
    return [node.op_type for node in read_onnx(made.artifact.path).graph.node]


def left(folder: Path) -> list[tuple[Path, bytes]]:
    """The files that adopt wrote, and what is in them."""
    return [(path, path.read_bytes()) for path in sorted((folder / "out").glob("*"))]


def refused(code: str, detail: str, folder: Path, net: Net, **options: Any) -> None:
    """Check that adopting `net` fails with `code` and names `detail`, an option or value, and writes no file."""
    change, before = options.pop("change", None), left(folder)
    with pytest.raises(EdgeSegError) as caught:
        adopted(folder, net, dataclasses.replace(STATED, **options), change)
    assert caught.value.code == code
    assert detail in str(caught.value), str(caught.value)
    assert left(folder) == before


def argmax(net: Net, keepdims: int) -> Net:
    """A picture to the ids of its classes."""
    return net.body().add("ArgMax", axis=1, keepdims=keepdims)


def heads(first: int = 2, second: int = 2, *, stride: int = 1) -> Net:
    """Two heads on one trunk, "road" and "lane"."""
    net = Net().conv(3, 8, stride=2, norm=True).add("Relu")
    trunk = net.x
    for name, classes, step in (("road", first, 1), ("lane", second, stride)):
        net.x = trunk
        net.conv(8, classes, stride=step)
        net.nodes[-1].output[0] = net.x = name
        net.out((1, classes, HEIGHT // 2 // step, WIDTH // 2 // step))
    return net
