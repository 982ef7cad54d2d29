"""The one way in which edgeseg compiles a Python loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numba

F = TypeVar("F", bound=Callable[..., object])


def jit(function: F) -> F:
    """Compile `function` with numba: no Python objects, no GIL, cached on disk for the next process."""
    compiled: F = numba.njit(cache=True, nogil=True)(function)
    return compiled
