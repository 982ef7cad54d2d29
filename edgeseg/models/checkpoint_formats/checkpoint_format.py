"""The description of a checkpoint format: names of tensors, preprocessing and licence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from edgeseg.errors import MismatchError
from edgeseg.spec import InputSpec

State = Mapping[str, Tensor]
Rule = tuple[str, str]


@dataclass(frozen=True)
class Adopted:
    """A checkpoint that a family's network can load.

    variant: text for a spec. state: with the family's own names, without heads that only training needs.
    details: the version of the format and guesses, in a few words, or "".
    config: what no tensor shows and the network has; a config.json beside the file must not say otherwise.
    """

    variant: str
    classes: int
    state: dict[str, Tensor]
    input: InputSpec
    align_corners: bool
    details: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckpointFormat:
    """The checkpoints that one training code writes for one family.

    name: for users, "CoinCheung/BiSeNet v2". signature: keys that every such checkpoint has; no other format has all
    of them and nothing that begins as one of `excluded`. adopt: converts the whole state, without wrappers such as
    "module.". source: the files that define names and preprocessing. licence: SPDX identifier, where the licence of
    the code extends to its weights.
    """

    name: str
    family: str
    signature: tuple[str, ...]
    adopt: Callable[[State], Adopted]
    source: str
    licence: str = "unknown"
    excluded: tuple[str, ...] = ()

    def match_score(self, keys: Iterable[str]) -> float:
        """The share of the signature that is among `keys`, 0 with an excluded one. 1: it is of this format."""
        present = set(keys)
        if any(key.startswith(self.excluded) for key in present):
            return 0.0
        return sum(key in present for key in self.signature) / len(self.signature)


def renamed(state: State, rules: Sequence[Rule], *, drop: Sequence[str] = ()) -> dict[str, Tensor]:
    """`state` with new names.

    rules: (pattern, replacement) for `re.sub`; the first that matches the beginning of a key applies.
    drop: patterns of keys that only training needs; they are matched first.
    MismatchError for a key that nothing matches.
    """
    result: dict[str, Tensor] = {}
    for key, value in state.items():
        if any(re.match(pattern, key) for pattern in drop):
            continue
        rule = next((rule for rule in rules if re.match(rule[0], key)), None)
        if rule is None:
            raise MismatchError(
                f"unexpected tensor in this checkpoint format: {key} {tuple(value.shape)}",
                hint="export it to ONNX with its own code, then: edgeseg adopt model.onnx",
            )
        result[re.sub(rf"^(?:{rule[0]})", rule[1], key)] = value
    return result


def rows(state: State, key: str, axis: int = 0) -> int:
    """A dimension of a tensor, the first one. MismatchError where the tensor is missing or has no such dimension."""
    if key not in state or state[key].ndim <= axis:
        raise MismatchError(
            f"the checkpoint lacks a tensor for {key}",
            hint="use the state dict of the whole network, not that of its backbone",
        )
    return state[key].shape[axis]
