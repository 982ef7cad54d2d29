"""Match the classes of a model to those of a data set by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeseg.datasets.dataset import Bytes, Dataset
from edgeseg.errors import MismatchError
from edgeseg.spec import LabelSet


@dataclass(frozen=True)
class ClassMatch:
    """The map from class ids of a model to those of a data set.

    ids: (256,) uint8, model id -> data set id; the model's extra classes follow those of the data set.
    extra: names of the model's classes that the data set does not have, in their order.
    """

    ids: NDArray[np.uint8]
    extra: tuple[str, ...]

    def __call__(self, labels: Bytes) -> Bytes:
        """Labels of the model, as ids of the data set."""
        return self.ids[labels]


def match_classes(labels: LabelSet, dataset: Dataset, model: str) -> ClassMatch:
    """Match each class of `dataset` to one of the `labels` of `model`. MismatchError where one is missing."""
    missing = [name for name in dataset.labels.names if name not in labels.names]
    if len(missing) == len(dataset.labels):
        dataset.check_labels(labels.names, model)
    if missing:
        raise MismatchError(
            f"{model} lacks {len(missing)} of the {len(dataset.labels)} classes of {dataset.name}: "
            f"{', '.join(missing[:4])}{', ...' if len(missing) > 4 else ''}",
            hint="ignore their ids: folder:PATH with a dataset.toml",
        )
    extra = tuple(name for name in labels.names if name not in dataset.labels.names)
    places = {name: place for place, name in enumerate((*dataset.labels.names, *extra))}
    ids = np.arange(256, dtype=np.uint8)
    ids[: len(labels)] = [places[name] for name in labels.names]
    return ClassMatch(ids, extra)
