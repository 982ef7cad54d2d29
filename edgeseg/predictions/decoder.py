"""From network outputs to a prediction: only this code knows what the outputs mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import UnavailableError
from edgeseg.pixels.upsample import labels_from_logits, labels_nearest
from edgeseg.predictions.prediction import Prediction
from edgeseg.predictions.semantic import SemanticMask
from edgeseg.spec import ModelSpec, Output, Task

Array = NDArray[Any]


class Decoder(ABC):
    """Makes a prediction from the outputs for one image. Stateless: threads may share it."""

    @abstractmethod
    def prediction_from_outputs(self, outputs: Mapping[str, Array], size: tuple[int, int]) -> Prediction:
        """The prediction of one image at `size` (H, W).

        outputs: by name in the graph, without the batch's dimension. They may be overwritten after the call: the
        prediction owns its memory.
        """


class SemanticDecoder(Decoder):
    """Logits (C, h, w) to the argmax of their exact bilinear upsampling, or a mask (h, w) to its nearest neighbour.

    kind: of the output, where the spec does not state it. output: its name; "" for the first of the graph.
    """

    def __init__(self, spec: ModelSpec, kind: Output = Output.LOGITS) -> None:
        self.spec = spec
        self.output, self.kind = (spec.outputs[0].name, spec.outputs[0].kind) if spec.outputs else ("", kind)

    def prediction_from_outputs(self, outputs: Mapping[str, Array], size: tuple[int, int]) -> SemanticMask:
        """`Decoder.prediction_from_outputs`."""
        result = self.output_of(outputs)
        if self.kind is Output.LOGITS:
            return self.prediction_from_labels(labels_from_logits(result, size, align_corners=self.spec.align_corners))
        return self.prediction_from_labels(np.array(labels_nearest(result, size)))

    def output_of(self, outputs: Mapping[str, Array]) -> Array:
        """The output that is decoded, of all outputs of the graph."""
        return outputs[self.output] if self.output else next(iter(outputs.values()))

    def prediction_from_labels(self, labels: NDArray[np.uint8]) -> SemanticMask:
        """The prediction with labels (H, W) that a device has decoded; they are not copied."""
        return SemanticMask(labels, self.spec.labels)


DECODERS: dict[Task, Callable[[ModelSpec, Output], Decoder]] = {Task.SEMANTIC: SemanticDecoder}


def decoder_for(spec: ModelSpec, kind: Output) -> Decoder:
    """The decoder of the spec's task. UnavailableError where this edgeseg has none.

    kind: of the first output, where the spec does not state it.
    """
    if spec.task not in DECODERS:
        known = ", ".join(str(task) for task in DECODERS)
        raise UnavailableError(
            f"{spec.name} is a model for {spec.task} segmentation; this edgeseg decodes: {known}",
            hint="pip install --upgrade edgeseg",
            code="ES-TASK",
        )
    return DECODERS[spec.task](spec, kind)
