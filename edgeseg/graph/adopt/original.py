"""The file as it came, run by hand: what the deploy graph made of it is held against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import FormatError
from edgeseg.graph.adopt.picture import Picture
from edgeseg.graph.adopt.source import Source, first_line
from edgeseg.sessions import open_session
from edgeseg.spec import InputSpec

Array = NDArray[Any]


def outputs_by_hand(
    source: Source, picture: Picture, spec: InputSpec, outputs: Sequence[str], frames: Sequence[NDArray[np.uint8]]
) -> list[list[Array]]:
    """What the file gives for each of `frames` ((H, W, 3) rgb at the input's size), one array for each of `outputs`.

    ONNX Runtime runs it with no optimisation: those are what the deploy graph is made with.
    """
    try:
        session = open_session(source.proto.SerializeToString(), "none")
        found = [session.run(list(outputs), {picture.name: picture.fed(rgb, spec)}) for rgb in frames]
    except Exception as problem:  # ONNX Runtime has a class of its own for each failure
        message = f"{source.path.name} does not run at {picture.width}x{picture.height}: {first_line(problem)}"
        hint = "try another --size, of multiples of 32" if picture.dynamic else "export it again"
        raise FormatError(message, hint=hint) from problem
    for name, array in ((name, array) for arrays in found for name, array in zip(outputs, arrays)):
        check_numbers(name, array)
    return found


def check_numbers(name: str, array: Any) -> None:
    """FormatError unless the output `name` is a tensor of numbers, none of them nan."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iubf":
        raise FormatError(f"output {name} is no tensor of numbers", hint="choose another one with --output NAME")
    if array.dtype.kind == "f" and np.isnan(array).any():
        hint = "its weights hold nan or infinities: export a checkpoint of an earlier step"
        raise FormatError(f"output {name} is nan at some pixels", hint=hint)
