"""The attributes of an ONNX node, as `onnx.helper` reads them, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

Attributes = Mapping[str, Any]
Function = Callable[..., Any]
OperatorFactory = Callable[[Attributes], Function]


def text(attributes: Attributes, name: str, default: str) -> str:
    """A string attribute: the file has bytes."""
    value = attributes.get(name, default)
    return value.decode() if isinstance(value, bytes) else str(value)


def only(attributes: Attributes, **allowed: Sequence[Any]) -> None:
    """ValueError unless each named attribute is absent or has one of the allowed values."""
    for name, values in allowed.items():
        value = attributes.get(name, values[0])
        value = value.decode() if isinstance(value, bytes) else value
        if value not in values:
            raise ValueError(f"{name}={value}")


def integers(tensor: Tensor) -> list[int]:
    """The values of a small integer tensor."""
    return [int(value) for value in tensor.reshape(-1).tolist()]
