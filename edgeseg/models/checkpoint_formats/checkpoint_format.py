"""What an origin states about its checkpoints, in one shape."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from edgeseg.errors import MismatchError
from edgeseg.spec import InputSpec

State = Mapping[str, Tensor]
Rule = tuple[str, str]


@dataclass(frozen=True)
class Adopted:
    """A checkpoint as a family's network takes it.

    variant: text for a spec, widths and dialect included. state: the family's own names, training's heads left out.
    dialect: what was recognised beyond the origin, in a few words, or nothing.
    """

    variant: str
    classes: int
    state: dict[str, Tensor]
    input: InputSpec
    align_corners: bool
    dialect: str = ""


@dataclass(frozen=True)
class CheckpointFormat:
    """One training code's checkpoints of one family.

    name: as its users call it, "CoinCheung/BiSeNet v2". marks: keys that every such checkpoint has, and no other
    origin's has all of. adopt: takes the whole state, wrappers such as "module." removed. source: where names and
    preprocessing were read. licence: SPDX identifier, where the code's own holds for the weights that it makes.
    """

    name: str
    family: str
    signature: tuple[str, ...]
    adopt: Callable[[State], Adopted]
    source: str
    licence: str = "unknown"

    def match_score(self, keys: Iterable[str]) -> float:
        """The share of the marks that stand among `keys`; 1 for such a checkpoint."""
        present = set(keys)
        return sum(mark in present for mark in self.signature) / len(self.signature)


def renamed(state: State, rules: Sequence[Rule], *, drop: Sequence[str] = ()) -> dict[str, Tensor]:
    """`state` under new names.

    rules: (pattern, replacement) as `re.sub` takes them; the first that matches a key's beginning is applied.
    drop: patterns of keys that only training needs, matched likewise, before the rules.
    MismatchError for a key that neither knows.
    """
    result: dict[str, Tensor] = {}
    for key, value in state.items():
        if any(re.match(pattern, key) for pattern in drop):
            continue
        rule = next((rule for rule in rules if re.match(rule[0], key)), None)
        if rule is None:
            raise MismatchError(
                f"a tensor that such a checkpoint should not have: {key} {tuple(value.shape)}",
                hint="export it to ONNX with its own code, then: edgeseg adopt model.onnx",
            )
        result[re.sub(rf"^(?:{rule[0]})", rule[1], key)] = value
    return result


def rows(state: State, key: str) -> int:
    """The first dimension of a tensor. MismatchError where it is missing or has none."""
    if key not in state or state[key].ndim == 0:
        raise MismatchError(
            f"a checkpoint with a tensor too few: it has none that becomes {key}",
            hint="give the whole state dict of the network, not that of its backbone alone",
        )
    return state[key].shape[0]
