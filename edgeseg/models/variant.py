"""A variant as one line of text, `name` or `name?key=value&key=value`: a named one, and what differs from it.

`base?head=256&upsample=nearest` is the variant `base` but for two keyword arguments of the network. So a checkpoint
of a width or dialect that no table foresaw still travels in a spec, and is built again from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeseg.errors import FormatError, UnknownNameError

Arguments = Mapping[str, Any]


def arguments_from_text(text: str, variants: Mapping[str, Arguments], *, family: str) -> dict[str, Any]:
    """The network's keyword arguments. A value is read as the type that the named variant has there."""
    name, _, query = text.partition("?")
    if name not in variants:
        raise UnknownNameError.among(f"variant of {family}", name, variants)
    arguments = dict(variants[name])
    for part in filter(None, query.split("&")):
        key, _, value = part.partition("=")
        if key not in arguments:
            raise UnknownNameError.among(f"option of {family} {name}", key, arguments)
        arguments[key] = value_from_text(value, arguments[key], key)
    return arguments


def text_from_arguments(name: str, arguments: Arguments, variants: Mapping[str, Arguments]) -> str:
    """The shortest text that `arguments_from_text` reads as `arguments`."""
    usual = variants[name]
    differing = [f"{key}={text_from_value(value)}" for key, value in arguments.items() if usual[key] != value]
    return "?".join([name, "&".join(differing)]) if differing else name


def value_from_text(text: str, like: Any, key: str) -> Any:
    """`text` as the type of `like`: bool, int, str or a tuple of int."""
    try:
        if isinstance(like, bool):
            return {"true": True, "false": False}[text]
        if isinstance(like, tuple):
            return tuple(int(part) for part in text.split(","))
        return type(like)(text)
    except (KeyError, ValueError):
        raise FormatError(f"{key}={text} is no value for {key}", hint=f"write {key}={text_from_value(like)}") from None


def text_from_value(value: Any) -> str:
    """The text that `value_from_text` reads."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
