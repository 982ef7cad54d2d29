"""Where a video comes from or goes to, as a person types it: a path, `kind:rest` or a URL, with options behind `?`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from urllib.parse import urlsplit

from edgeseg.errors import FormatError, UnknownNameError


def redacted(text: str) -> str:
    """`text` with the user, the password and the values behind `?` of a URL blacked out: for messages and logs."""
    text = re.sub(r"://.*@", "://***@", text)
    return re.sub(r"(://[^?]*\?).*", r"\1***", text)


@dataclass(frozen=True)
class Address:
    """A place, taken apart.

    place: the whole URL where `kind` is a network protocol, else what stands behind the kind, without options. May hold
        a password: show `name`.
    """

    kind: str
    place: str = field(repr=False)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_url(self) -> bool:
        """Whether the place is on the network."""
        return "://" in self.place

    @property
    def name(self) -> str:
        """What to call the place in messages: never with a password."""
        return redacted(self.place)

    @property
    def host(self) -> str:
        """The host of a URL; "" where it cannot be told from the password, which then holds a / ? # or [."""
        try:
            url = urlsplit(self.place)
        except ValueError:
            return ""
        return "" if "@" in self.place and "@" not in url.netloc else url.hostname or ""

    def check_options(self, known: Iterable[str]) -> None:
        """UnknownNameError where an option is none of the `known` ones."""
        known = list(known)
        for key in self.options:
            if key not in known:
                if not known:
                    raise UnknownNameError(f"unknown option of {self.name}: {key}", hint="it takes no options")
                raise UnknownNameError.among(f"option of {self.name}", key, known)

    def whole(self, key: str, default: int, *, least: int = 1) -> int:
        """The option `key` as a whole number of at least `least`."""
        text = self.options.get(key, str(default))
        if not text.isascii() or not text.isdigit() or int(text) < least:
            raise FormatError(f"{key}={text} is no whole number from {least}", hint=f"write {key}={default}")
        return int(text)

    def flag(self, key: str) -> bool:
        """The option `key`: 1 is yes; 0, or the option left away, no."""
        text = self.options.get(key, "0")
        if text not in ("0", "1"):
            raise FormatError(f"{key}={text} is neither 0 nor 1", hint=f"write {key}=1, or leave it away")
        return text == "1"

    def rate(self, default: Fraction) -> Fraction:
        """The option `fps` as frames a second: 25, 12.5 or 30000/1001."""
        text = self.options.get("fps", str(default))
        try:
            rate = Fraction(text)
        except (ValueError, ZeroDivisionError):
            rate = Fraction(0)
        if not 0 < rate <= 1000:
            raise FormatError(f"fps={text} is no frame rate", hint="write fps=25 or fps=30000/1001")
        return rate


def split_options(text: str) -> tuple[str, dict[str, str]]:
    """What stands before the last `?`, and the `key=value` pairs behind it; a `?` of a glob is left alone."""
    place, mark, tail = text.rpartition("?")
    if not mark or not re.fullmatch(r"\w+=[^&]*(&\w+=[^&]*)*", tail):
        return text, {}
    return place, dict(pair.split("=", 1) for pair in tail.split("&"))
