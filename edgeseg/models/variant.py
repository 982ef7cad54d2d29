"""A variant as text, `name` or `name?key=value&key=value`: a named variant, and the arguments that differ from it.

`base?head=256&upsample=nearest` is the variant `base` with two other keyword arguments of the network. So a spec can
describe checkpoints with any width or version of the architecture.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeseg.errors import FormatError, UnknownNameError
from edgeseg.uri import check_options, options_from_query

Arguments = Mapping[str, Any]


def arguments_from_text(text: str, variants: Mapping[str, Arguments], *, family: str) -> dict[str, Any]:
    """The network's keyword arguments. A value has the type that it has in the named variant."""
    name, _, query = text.partition("?")
    if name not in variants:
        raise UnknownNameError.among(f"variant of {family}", name, variants)
    arguments, changes = dict(variants[name]), options_from_query(query)
    check_options(f"{family} {name}", changes, arguments)
    return arguments | {key: value_from_text(value, arguments[key], key) for key, value in changes.items()}


def text_from_arguments(name: str, arguments: Arguments, variants: Mapping[str, Arguments]) -> str:
    """The shortest text that `arguments_from_text` reads as `arguments`."""
    defaults = variants[name]
    differing = [f"{key}={text_from_value(value)}" for key, value in arguments.items() if defaults[key] != value]
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
        raise FormatError(f"{key}={text} is not a valid value", hint=f"write {key}={text_from_value(like)}") from None


def text_from_value(value: Any) -> str:
    """The text that `value_from_text` reads."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
