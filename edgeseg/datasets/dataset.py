"""What a data set is: named samples in a fixed order, each decoded or drawn only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgeseg.errors import DataError, MismatchError, UnknownNameError
from edgeseg.spec import LabelSet

MOST_DIGITS = 19
Bytes = npt.NDArray[np.uint8]


class Sample(Protocol):
    """One picture with its ground truth."""

    @property
    def name(self) -> str:
        """Unique in its data set."""

    def rgb(self) -> Bytes:
        """(H, W, 3) uint8."""

    def labels(self) -> Bytes:
        """(H, W) uint8 of the size of `rgb()`: class ids, and the label set's `ignore` where nothing is judged."""


@dataclass(frozen=True)
class Dataset:
    """Samples in a fixed order.

    name: its URI with every option and without the local path, fit for a record.
    files: what else decides the labels, for example a list of classes; sample files are not among them.
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
        """MismatchError unless the classes are those called `names`, which `model` knows."""
        if self.labels.names != names:
            raise MismatchError(
                f"{model} knows {len(names)} classes ({names[0]}, ...), and {self.name} has "
                f"{len(self.labels)} ({self.labels.names[0]}, ...)",
                hint="evaluate on a data set with the model's classes, or name them: edgeseg adopt --labels FILE",
            )


@dataclass(frozen=True)
class DatasetKind:
    """What one kind of data set states about itself.

    options: key -> default text, as written behind "?" in a URI.
    open: makes the data set from a path ("" for none) and all options; `name` is what the data set is to be called.
    synthetic: its images are drawn, not photographed.
    """

    name: str
    options: Mapping[str, str]
    open: Callable[[str, str, Mapping[str, str]], Dataset]
    synthetic: bool = False

    def open_uri(self, path: str, query: str) -> Dataset:
        """The data set of `path` and of a query "key=value&key=value"."""
        given = given_options(query)
        for key in given:
            if key not in self.options:
                raise UnknownNameError.among(f"option of {self.name}", key, self.options)
        options = {**self.options, **given}
        told = "&".join(f"{key}={value}" for key, value in options.items() if value)
        return self.open(f"{self.name}:?{told}", path, options)


def given_options(query: str) -> dict[str, str]:
    """The options of "key=value&key=value", each key once and none without a value."""
    options: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        key, _, value = part.partition("=")
        if not value:
            raise DataError(f"no value in {part!r}", hint=f"write {key or 'key'}=VALUE, options apart by &")
        if key in options:
            raise DataError(f"{key} is given twice", hint=f"keep one {key}=VALUE")
        options[key] = value
    return options


def counted(key: str, text: str, *, least: int = 1) -> int:
    """`text`, the value of option `key`, as a whole number of at least `least`."""
    if not (text.isascii() and text.isdigit() and len(text) < MOST_DIGITS) or int(text) < least:
        raise DataError(f"{key}={text} is not a whole number from {least} on", hint=f"write {key}={max(least, 8)}")
    return int(text)
