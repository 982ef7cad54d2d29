"""How long work says where it stands, without knowing about terminals."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called with what is being done and how far it is; total is None where the end is unknown."""

    def __call__(self, task: str, done: int, total: int | None) -> None: ...  # noqa: D102


def silent(task: str, done: int, total: int | None) -> None:
    """Say nothing."""
