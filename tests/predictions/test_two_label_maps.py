"""The types hold for what comes next: a model whose decoder gives two label maps, as for road area and lanes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_onnx import float_onnx
from small_streams import Drawn

from edgeseg.artifact import Artifact
from edgeseg.engines.backend import Backend
from edgeseg.errors import MismatchError
from edgeseg.pixels.overlay import overlay_labels
from edgeseg.pixels.upsample import labels_from_logits
from edgeseg.predictions import Decoder, Prediction
from edgeseg.predictions.label_png import png_from_labels
from edgeseg.segmenter import Segmenter
from edgeseg.spec import ModelSpec, Output, OutputSpec, TensorSpec
from edgeseg.streaming import stream
from edgeseg.video.sink import open_sink

PALETTE = np.array([[0, 0, 0], [0, 200, 0]], np.uint8)


@dataclass(frozen=True, eq=False)
class RoadAndLanes(Prediction):
    """Two label maps (H, W) of one image, whose classes may overlap."""

    road: np.ndarray
    lanes: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        return self.road.shape[0], self.road.shape[1]

    def render(self, rgb: np.ndarray, *, opacity: float = 0.5) -> np.ndarray:
        once = overlay_labels(rgb, self.road, PALETTE, opacity=opacity)
        return overlay_labels(once, self.lanes, PALETTE[:, ::-1], opacity=opacity)

    def to_dict(self) -> dict[str, Any]:
        return {"road": float(self.road.mean()), "lanes": float(self.lanes.mean())}

    def save(self, path: str | Path) -> Path:
        Path(path).write_bytes(png_from_labels(self.road + 2 * self.lanes, np.vstack([PALETTE, PALETTE])))
        return Path(path)


class TwoHeads(Decoder):
    """Reads the outputs that the spec names, in its order."""

    def __init__(self, spec: ModelSpec) -> None:
        self._names = [output.name for output in spec.outputs]

    def prediction_from_outputs(self, outputs: Mapping[str, np.ndarray], size: tuple[int, int]) -> RoadAndLanes:
        return RoadAndLanes(*(labels_from_logits(outputs[name], size) for name in self._names))


class FakeBackend(Backend):
    """Bright pixels are road, dark ones lanes: two outputs (1, 2, h, w) at an eighth of the input."""

    def __init__(self, artifact: Artifact) -> None:
        height, width = artifact.spec.input.height, artifact.spec.input.width
        shape = (1, 2, height // 8, width // 8)
        inputs = (TensorSpec("rgb", "uint8", (1, height, width, 3)),)
        super().__init__("fake", inputs, (TensorSpec("road", "float32", shape), TensorSpec("lanes", "float32", shape)))

    def _infer(self, feed: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        bright = feed["rgb"][:, ::8, ::8].mean(3).astype(np.float32) - 128
        return {"road": np.stack([-bright, bright], 1), "lanes": np.stack([bright, -bright], 1)}

    def _close(self) -> None:
        pass


@pytest.fixture
def segmenter(tmp_path: Path) -> Segmenter:
    artifact = float_onnx(tmp_path)
    outputs = (OutputSpec("road", Output.LOGITS), OutputSpec("lanes", Output.LOGITS))
    spec = dataclasses.replace(artifact.spec, outputs=outputs)
    artifact = dataclasses.replace(artifact, spec=ModelSpec.from_json(spec.to_json()))
    return Segmenter(artifact, FakeBackend(artifact), TwoHeads(artifact.spec))


def test_one_image_gives_both_maps(segmenter: Segmenter) -> None:
    bright = np.full((50, 70, 3), 250, np.uint8)
    prediction = segmenter.predict(bright)
    assert isinstance(prediction, RoadAndLanes)
    assert (prediction.size, prediction.road.min(), prediction.lanes.max()) == ((50, 70), 1, 0)
    with pytest.raises(MismatchError) as caught:
        segmenter.segment(bright)
    assert caught.value.code == "ES-TASK"


def test_a_stream_hands_both_to_every_sink(segmenter: Segmenter, tmp_path: Path) -> None:
    source = Drawn(3)
    uris = ["video.mp4", "masks/", "overlays/%d.png", "out.jsonl"]
    sinks = [open_sink(f"{tmp_path}/{uri}", source.info) for uri in uris]
    report = stream(source, segmenter, sinks)
    for sink in sinks:
        sink.close()
    assert report.frames == 3
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert all(line["road"] + line["lanes"] == pytest.approx(1.0) for line in lines)
    assert len(list((tmp_path / "masks").iterdir())) == len(list((tmp_path / "overlays").iterdir())) == 3
