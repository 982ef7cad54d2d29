"""Every error that a user can cause, as one tree.

    EdgeSegError
    ├── FileProblem          a file or folder is missing, unreadable or cannot be written
    ├── FormatError          a file is there, and is not what its place asks for
    ├── SizeError            an image or input size that a model, tensor or video cannot take
    ├── UnknownNameError     a model, engine, source or option that is in no table ("did you mean")
    ├── UnavailableError     an engine, device or library that this machine does not have
    ├── MismatchError        two files that do not belong together (range table, weights, sidecar)
    ├── DataError            images or labels that cannot be used (ids out of range, empty folder)
    └── AgreementError       an export or engine whose labels differ from those of its source

Each carries a `hint`: what to type or change. The command line prints `error: ...`, `hint: ...` and exits with 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EdgeSegError(Exception):
    """Base of all errors that edgeseg raises on purpose.

    message: one line, what is wrong, naming the file or value.
    hint: one line, what to type or change.
    """

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})"


class FileProblem(EdgeSegError):  # noqa: N818 - "FileError" would read as the builtin FileExistsError family
    """A file or folder is missing, unreadable or cannot be written."""


class FormatError(EdgeSegError):
    """A file is there, and is not what its place asks for."""


class SizeError(EdgeSegError):
    """An image or input size that a model, tensor or video cannot take."""


class UnknownNameError(EdgeSegError):
    """A name that is in no table."""

    @classmethod
    def among(cls, kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
        """The error for `name`, with the nearest of the `known` names in its hint."""
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        return cls(f"unknown {kind}: {name}", hint=hint)


class UnavailableError(EdgeSegError):
    """An engine, device or library that this machine does not have."""


class MismatchError(EdgeSegError):
    """Two files that do not belong together."""


class DataError(EdgeSegError):
    """Images or labels that cannot be used."""


class AgreementError(EdgeSegError):
    """An export or engine whose labels differ from those of its source."""
