"""A model's classes and a data set's, brought together by their names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeseg.datasets.dataset import Bytes, Dataset
from edgeseg.errors import MismatchError
from edgeseg.spec import LabelSet


@dataclass(frozen=True)
class ClassMatch:
    """How a model's class ids become those of a data set.

    ids: (256,) uint8, model id -> data set id; the model's extra classes come behind those of the data set.
    extra: names of the model's classes that the data set does not have, in their order.
    """

    ids: NDArray[np.uint8]
    extra: tuple[str, ...]

    def __call__(self, labels: Bytes) -> Bytes:
        """Labels of the model, as ids of the data set."""
        return self.ids[labels]


def match_classes(labels: LabelSet, dataset: Dataset, model: str) -> ClassMatch:
    """Find each class of `dataset` by its name among the `labels` of `model`.

    MismatchError where the model does not have all of them.
    """
    lacking = [name for name in dataset.labels.names if name not in labels.names]
    if len(lacking) == len(dataset.labels):
        dataset.check_labels(labels.names, model)
    if lacking:
        raise MismatchError(
            f"{model} does not know {len(lacking)} of the {len(dataset.labels)} classes of {dataset.name}: "
            f"{', '.join(lacking[:4])}{', ...' if len(lacking) > 4 else ''}",
            hint="leave them out of the data set: folder:PATH, with a dataset.toml whose ignore has their ids",
        )
    extra = tuple(name for name in labels.names if name not in dataset.labels.names)
    places = {name: place for place, name in enumerate((*dataset.labels.names, *extra))}
    ids = np.arange(256, dtype=np.uint8)
    ids[: len(labels)] = [places[name] for name in labels.names]
    return ClassMatch(ids, extra)
