"""The syntax of sources, sinks, data sets and variants as a user types them: `kind:place?key=value&key=value`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from urllib.parse import parse_qsl

from edgeseg.errors import FormatError, UnknownNameError

MAX_DIGITS = 18
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
BYTES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def split_kind(uri: str) -> tuple[str, str]:
    """("camera", "0") of "camera:0", ("test", "street") of "test://street", and ("", uri) of a path.

    A single letter is a drive of Windows, not a kind.
    """
    kind, colon, rest = uri.partition(":")
    name = kind.replace("+", "").replace(".", "").replace("-", "")
    if not colon or len(kind) < 2 or not kind[0].isalpha() or not name.isidentifier() or not name.isascii():
        return "", uri
    return kind.lower(), rest.removeprefix("//")


def redacted(text: str) -> str:
    """`text` with user, password, query values and RTMP key of a URL masked, for messages and logs."""
    masked = re.sub(r"(://[^?]*\?).*", r"\1***", without_login(text))
    return re.sub(r"(rtmps?://[^/?\s]*/[^/?\s]*/)[^?\s]+", r"\1***", masked, flags=re.IGNORECASE)


def without_login(text: str) -> str:
    """`text` with user and password of a URL masked."""
    return re.sub(r"://.*@", "://***@", text)


def split_options(text: str) -> tuple[str, dict[str, str]]:
    """The place before the last `?` and the options after it; a `?` without key=value after it belongs to a glob."""
    place, mark, query = text.rpartition("?")
    if not mark or not all("=" in part and part.partition("=")[0].isidentifier() for part in query.split("&")):
        return text, {}
    return place, options_from_query(query)


def options_from_query(query: str) -> dict[str, str]:
    """The options of "key=value&key=value". FormatError where one has no value or is given twice."""
    options: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if not value:
            hint = f"write {key or 'key'}=VALUE, options separated by &"
            raise FormatError(f"the option {key!r} has no value", hint=hint, code="ES-FORMAT-OPTION")
        if key in options:
            raise FormatError(f"the option {key} is given twice", hint=f"keep one {key}=", code="ES-FORMAT-OPTION")
        options[key] = value
    return options


def check_options(name: str, options: Iterable[str], known: Iterable[str]) -> None:
    """UnknownNameError where one of the `options` of `name` is not among the `known` ones."""
    known = list(known)
    for key in options:
        if key not in known and not known:
            raise UnknownNameError(f"unknown option of {name}: {key}", hint="it takes no options")
        if key not in known:
            raise UnknownNameError.among(f"option of {name}", key, known)


def integer_option(options: Mapping[str, str], key: str, default: int, *, least: int = 1) -> int:
    """The option `key` as an integer of at least `least`. FormatError for any other text."""
    text = options.get(key, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS) or int(text) < least:
        message = f"{key}={text} is not an integer of at least {least}"
        raise FormatError(message, hint=f"write {key}={max(default, least)}", code="ES-FORMAT-OPTION")
    return int(text)


def number_from_text(text: str, key: str, most: float) -> float:
    """A number above 0 and at most `most`. FormatError for any other text."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= most:
        message = f"{key}={text} is not a number above 0 and at most {most:g}"
        raise FormatError(message, hint=f"write {key}={min(1, most):g}", code="ES-FORMAT-OPTION")
    return value


def flag_option(options: Mapping[str, str], key: str) -> bool:
    """The option `key`: "1" is True; "0" or a missing option is False."""
    text = options.get(key, "0")
    if text not in ("0", "1"):
        raise FormatError(f"{key}={text} is neither 0 nor 1", hint=f"write {key}=1", code="ES-FORMAT-OPTION")
    return text == "1"


def seconds_option(options: Mapping[str, str], key: str, default: float | None = None) -> float | None:
    """The option `key` in seconds: 90, 90s, 10m, 1h, 7d; more than 0. FormatError for any other text."""
    return _scaled_option(
        options, key, SECONDS, "a duration", f"write {key}=90s, {key}=10m, {key}=1h or {key}=7d", default
    )


def bytes_option(options: Mapping[str, str], key: str) -> float | None:
    """The option `key` in bytes: 500M, 20G; of 1024 bytes to the K. FormatError for any other text."""
    return _scaled_option(options, key, BYTES, "a size", f"write {key}=500M or {key}=20G", None)


def _scaled_option(
    options: Mapping[str, str], key: str, units: Mapping[str, int], noun: str, hint: str, default: float | None
) -> float | None:
    """A number with a unit, more than 0; `default` where the option is missing."""
    if key not in options:
        return default
    text = options[key]
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)([A-Za-z]?)", text, re.ASCII)
    if match is None or match[2] not in units or not float(match[1]):
        raise FormatError(f"{key}={text} is not {noun}", hint=hint, code="ES-FORMAT-OPTION")
    return float(match[1]) * units[match[2]]


def rate_option(options: Mapping[str, str], default: Fraction) -> Fraction:
    """The option `fps` in frames per second: 25, 12.5 or 30000/1001."""
    text = options.get("fps", str(default))
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        hint = "write fps=25 or fps=30000/1001"
        raise FormatError(f"fps={text} is not a frame rate", hint=hint, code="ES-FORMAT-OPTION")
    return rate
