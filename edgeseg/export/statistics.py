"""Mean, std and colour order of a checkpoint's input, as a user states them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from edgeseg.errors import FormatError, UnknownNameError
from edgeseg.graph.adopt.normalise import COLORS, unit_statistics
from edgeseg.spec import InputSpec


@dataclass(frozen=True)
class Statistics:
    """Input statistics that a user states instead of those of the checkpoint format; None where they do not.

    mean, std: both or neither, in the order of `color`, for values in 0..1 or in 0..255.
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    color: str | None = None

    def input_from(self, default: InputSpec) -> InputSpec:
        """`default` with the stated values. FormatError or UnknownNameError if they are invalid."""
        if self.color not in (None, *COLORS):
            raise UnknownNameError.among("colour order", str(self.color), COLORS)
        color = self.color or default.color
        if self.mean is None and self.std is None:
            swap = color != default.color
            mean, std = (values[::-1] if swap else values for values in (default.mean, default.std))
        elif self.mean is None or self.std is None:
            raise FormatError("mean and std belong together", hint="give both: --mean R G B --std R G B")
        else:
            mean, std, _ = unit_statistics(self.mean, self.std)
        return dataclasses.replace(default, mean=mean, std=std, color=color)
