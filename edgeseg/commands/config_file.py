"""`--config FILE.toml`: the options of a command from a file; an option of the command line wins over the file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from edgeseg.commands.options import Numbers
from edgeseg.errors import FormatError, UnknownNameError
from edgeseg.files import toml_from_file


def read_config(context: typer.Context, path: Path | None) -> None:
    """Take the values of the file as the defaults of the command's options.

    A key is an option's long name without dashes in front ("max-drop"). UnknownNameError for another key, FormatError
    for a value of another type than the option's.
    """
    if path is None or context.resilient_parsing:
        return
    params: dict[str, Any] = {}
    for param in context.command.params:
        names = [name.removeprefix("--") for name in param.opts if name.startswith("--")]
        params.update(dict.fromkeys(names or [param.name], param))
    del params["config"]
    kinds = get_type_hints(context.command.callback)
    defaults = {}
    for key, value in toml_from_file(path, hint="write lines such as size = '1024x512'").items():
        if key not in params:
            raise UnknownNameError.among(f"option in {path.name}", key, params)
        name = params[key].name
        defaults[name] = checked(value, kinds[name], f"{key} in {path.name}")
    context.default_map = {**(context.default_map or {}), **defaults}


def checked(value: Any, kind: Any, what: str) -> Any:
    """`value` as the command line would give it to an option of the type `kind`. FormatError for another type."""
    kind = next((each for each in get_args(kind) if each is not type(None)), kind) if is_optional(kind) else kind
    items = get_args(kind)
    if get_origin(kind) in (list, tuple):
        values = value if isinstance(value, list) else [value]
        if get_origin(kind) is tuple and len(values) != len(items):
            raise wrong_type(what, f"a list of {len(items)}")
        if kind == Numbers and all(isinstance(each, (int, float)) for each in values):
            return [str(each) for each in values]  # the command line gives three texts
        return [checked(each, items[0], what) for each in values]
    expected, types = TYPES[kind]
    if not isinstance(value, types) or (isinstance(value, bool) and kind is not bool):
        raise wrong_type(what, expected)
    return value


def is_optional(kind: Any) -> bool:
    """Whether `kind` is a union with None."""
    return type(None) in get_args(kind)


def wrong_type(what: str, expected: str) -> FormatError:
    """The error for a value of the wrong type."""
    return FormatError(f"{what} is not {expected}", hint=f"write {expected}", code="ES-FORMAT-CONFIG")


TYPES: dict[Any, tuple[str, tuple[type, ...]]] = {
    bool: ("true or false", (bool,)),
    int: ("an integer", (int,)),
    float: ("a number", (int, float)),
    str: ("a text", (str,)),
    Path: ("a text", (str,)),
}
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        is_eager=True,
        callback=read_config,
        expose_value=False,
        help="A TOML file of options; its keys are option names. The command line wins.",
    ),
]
