"""The place of a source or sink: a path, a device or a URL, with options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from edgeseg.uri import check_options, redacted

COMMANDS = ("gst", "exec")  # what follows the kind is a command, in which a ? is no option
PLAIN = ("file", "images", "masks", "jsonl", "window", "null")  # shown without their kind


@dataclass(frozen=True)
class Address:
    """A parsed place.

    place: the whole URL where `kind` is a network protocol, else the text after the kind, without options. It may
        contain a password: show `name` instead.
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
        """The place for messages, without a password. Of a command only its first word, for any other may be one."""
        if self.kind in COMMANDS:
            first, space, _ = self.place.strip().partition(" ")
            return f"{self.kind}:{redacted(first)}{space and ' ...'}"
        prefix = "" if self.is_url or self.kind in PLAIN else f"{self.kind}:"
        return prefix + redacted(self.place)

    @property
    def host(self) -> str:
        """The host of a URL; "" where a / ? # or [ in the password hides it."""
        try:
            url = urlsplit(self.place)
        except ValueError:
            return ""
        return "" if "@" in self.place and "@" not in url.netloc else url.hostname or ""

    def check_options(self, known: Iterable[str]) -> None:
        """UnknownNameError where an option is not among the `known` ones."""
        check_options(self.name, self.options, known)
