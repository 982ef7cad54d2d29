"""Data sets: named samples in a fixed order, decoded or rendered on request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgeseg.errors import MismatchError
from edgeseg.spec import LabelSet
from edgeseg.uri import check_options, options_from_query

Bytes = npt.NDArray[np.uint8]


class Sample(Protocol):
    """One image with its ground truth."""

    @property
    def name(self) -> str:
        """Unique in its data set."""

    def rgb(self) -> Bytes:
        """(H, W, 3) uint8."""

    def labels(self) -> Bytes:
        """(H, W) uint8 of the size of `rgb()`: class ids, and the label set's `ignore` where unlabelled."""


@dataclass(frozen=True)
class Dataset:
    """Samples in a fixed order.

    name: its URI with every option and without the local path, for records.
    files: other files that determine the labels, for example a list of classes.
    """

    name: str
    labels: LabelSet
    samples: Sequence[Sample]
    files: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]

    def check_labels(self, names: tuple[str, ...], model: str) -> None:
        """MismatchError unless the classes are `names`, those of `model`."""
        if self.labels.names != names:
            raise MismatchError(
                f"{model} has {len(names)} classes ({names[0]}, ...), and {self.name} has "
                f"{len(self.labels)} ({self.labels.names[0]}, ...)",
                hint="evaluate on a data set with the model's classes, or name them: edgeseg adopt --labels FILE",
            )


@dataclass(frozen=True)
class DatasetKind:
    """A kind of data set.

    options: key -> default text.
    open: makes the data set from its name, a path ("" for none) and all options.
    synthetic: its images are rendered, not photographed.
    """

    name: str
    options: Mapping[str, str]
    open: Callable[[str, str, Mapping[str, str]], Dataset]
    synthetic: bool = False

    def open_uri(self, path: str, query: str) -> Dataset:
        """The data set of `path` and of a query "key=value&key=value"."""
        set_options = options_from_query(query)
        check_options(self.name, set_options, self.options)
        options = {**self.options, **set_options}
        shown = "&".join(f"{key}={value}" for key, value in options.items() if value)
        return self.open(f"{self.name}:?{shown}", path, options)
