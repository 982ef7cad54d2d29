"""Losses that a training sums, one per file, which ends in `LOSS`; the table LOSSES lists them.

A term of the sum is a text, NAME, NAME=WEIGHT or NAME=WEIGHT?key=value: "cross_entropy", "dice=0.5", "focal?gamma=3".
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeseg.errors import MismatchError, UnknownNameError
from edgeseg.uri import check_options, number_from_text, options_from_query

if TYPE_CHECKING:
    from edgeseg.train.losses.loss import Loss

LOSSES = {
    "cross_entropy": "edgeseg.train.losses.cross_entropy",
    "ohem": "edgeseg.train.losses.ohem",
    "focal": "edgeseg.train.losses.focal",
    "boundary": "edgeseg.train.losses.boundary",
    "dice": "edgeseg.train.losses.dice",
    "lovasz": "edgeseg.train.losses.lovasz",
}
DEFAULT = "cross_entropy"


@dataclass(frozen=True)
class Term:
    """One term of the sum."""

    name: str
    loss: Loss
    weight: float = 1.0

    def __str__(self) -> str:
        """The shortest text that `term_from_text` reads as this term."""
        changed = {
            field.name: getattr(self.loss, field.name)
            for field in dataclasses.fields(self.loss)
            if getattr(self.loss, field.name) != field.default
        }
        weight = "" if self.weight == 1 else f"={self.weight:.12g}"
        query = "&".join(f"{key}={value:.12g}" for key, value in changed.items())
        return f"{self.name}{weight}?{query}" if query else f"{self.name}{weight}"


def open_loss(name: str) -> type[Loss]:
    """The class of the loss `name`. UnknownNameError, with the nearest name, where there is none."""
    if name not in LOSSES:
        raise UnknownNameError.among("loss", name, LOSSES)
    loss: type[Loss] = importlib.import_module(LOSSES[name]).LOSS
    return loss


def term_from_text(text: str) -> Term:
    """The term that `text` describes. UnknownNameError, FormatError where it describes none."""
    head, _, query = text.partition("?")
    name, equals, weight = head.partition("=")
    kind, options = open_loss(name), options_from_query(query)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    check_options(f"the loss {name}", options, fields)
    values = {key: number_from_text(value, key, fields[key].metadata["most"]) for key, value in options.items()}
    return Term(name, kind(**values), number_from_text(weight, f"--loss {name}", 1e3) if equals else 1.0)


def terms_from_texts(texts: Sequence[str]) -> tuple[Term, ...]:
    """The terms in the order of the table, each name at most once."""
    terms = [term_from_text(text) for text in texts]
    names = [term.name for term in terms]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        message = f"the loss {twice} is given twice"
        raise MismatchError(message, hint=f"give --loss {twice}=WEIGHT once", code="ES-MISMATCH-OPTIONS")
    return tuple(sorted(terms, key=lambda term: list(LOSSES).index(term.name)))


def texts_of(texts: Sequence[str]) -> tuple[str, ...]:
    """The texts of the same terms in their shortest form and the order of the table."""
    return tuple(map(str, terms_from_texts(texts)))


def texts_from_numbers(ohem: float, dice: float) -> tuple[str, ...]:
    """The terms that two numbers describe: --ohem P and --dice WEIGHT, and the recipes of older releases."""
    first = f"ohem?probability={ohem:.12g}" if ohem else DEFAULT
    return texts_of([first, f"dice={dice:.12g}"] if dice else [first])
