"""Mean, std and colour order of a checkpoint's input, where a user knows them better."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from edgeseg.errors import FormatError, UnknownNameError
from edgeseg.graph.adopt.normalise import COLORS, unit_statistics
from edgeseg.spec import InputSpec


@dataclass(frozen=True)
class Statistics:
    """What a user states of a checkpoint's input, in place of what its origin usually has; None where they do not.

    mean, std: both or neither, in the order of `color`, for values in 0..1 or in 0..255.
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    color: str | None = None

    def input_from(self, usual: InputSpec) -> InputSpec:
        """`usual` with what is stated. FormatError, UnknownNameError where that is no normalisation or colour order."""
        if self.color not in (None, *COLORS):
            raise UnknownNameError.among("colour order", str(self.color), COLORS)
        color = self.color or usual.color
        if self.mean is None and self.std is None:
            turned = color != usual.color
            mean, std = (values[::-1] if turned else values for values in (usual.mean, usual.std))
        elif self.mean is None or self.std is None:
            raise FormatError("mean and std belong together", hint="give both: --mean R G B --std R G B")
        else:
            mean, std, _ = unit_statistics(self.mean, self.std)
        return dataclasses.replace(usual, mean=mean, std=std, color=color)
