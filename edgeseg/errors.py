"""Every error that a user can cause, as one tree.

    EdgeSegError
    ├── FileProblem       ES-FILE       a file or folder is missing, unreadable or cannot be written
    ├── FormatError       ES-FORMAT     a file is there, and is not what its place asks for
    ├── SizeError         ES-SIZE       an image or input size that a model, tensor or video cannot take
    ├── UnknownNameError  ES-NAME       a model, engine, source or option that is in no table ("did you mean")
    ├── UnavailableError  ES-MISSING    an engine, device or library that this machine does not have
    ├── MismatchError     ES-MISMATCH   two files or options that do not belong together (range table, weights, sidecar)
    ├── DataError         ES-DATA       images or labels that cannot be used (ids out of range, empty folder)
    └── AgreementError    ES-AGREEMENT  an export or engine whose labels differ from those of its source

Each carries a `hint`, what to type or change, and a stable `code`: that of its class, or a narrower one that is given
where it is raised (`ES-FILE-EXISTS`). Programs and tests compare codes; wording may change. The command line prints
`error: ...`, `hint: ...` and exits with 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class EdgeSegError(Exception):
    """Base of all errors that edgeseg raises on purpose.

    message: one line, what is wrong, naming the file or value.
    hint: one line, what to type or change.
    code: stable; that of the class unless given.
    """

    class_code: ClassVar[str] = "ES-ERROR"

    def __init__(self, message: str, *, hint: str, code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or self.class_code

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})"


class FileProblem(EdgeSegError):  # noqa: N818 - "FileError" would read as the builtin FileExistsError family
    """A file or folder is missing, unreadable or cannot be written."""

    class_code: ClassVar[str] = "ES-FILE"


class FormatError(EdgeSegError):
    """A file is there, and is not what its place asks for."""

    class_code: ClassVar[str] = "ES-FORMAT"


class SizeError(EdgeSegError):
    """An image or input size that a model, tensor or video cannot take."""

    class_code: ClassVar[str] = "ES-SIZE"


class UnknownNameError(EdgeSegError):
    """A name that is in no table."""

    class_code: ClassVar[str] = "ES-NAME"

    @classmethod
    def among(cls, kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
        """The error for `name`, with the nearest of the `known` names in its hint."""
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        return cls(f"unknown {kind}: {name}", hint=hint)


class UnavailableError(EdgeSegError):
    """An engine, device or library that this machine does not have."""

    class_code: ClassVar[str] = "ES-MISSING"


class MismatchError(EdgeSegError):
    """Two files that do not belong together."""

    class_code: ClassVar[str] = "ES-MISMATCH"


class DataError(EdgeSegError):
    """Images or labels that cannot be used."""

    class_code: ClassVar[str] = "ES-DATA"


class AgreementError(EdgeSegError):
    """An export or engine whose labels differ from those of its source."""

    class_code: ClassVar[str] = "ES-AGREEMENT"
