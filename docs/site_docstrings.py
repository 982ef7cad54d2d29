"""An extension of griffe: lists the parameters and fields that a docstring explains, one a line.

The docstrings of edgeseg explain them in prose, "size: (width, height). name: of the files.", which is short in the
source and hard to find one's way in on a page.
"""

from __future__ import annotations

import re
from typing import Any

import griffe


class Parameters(griffe.Extension):  # type: ignore[misc]
    """Turns "name: what it is." into an item of a list, for the names of the signature."""

    def on_object(self, *, obj: Any, loader: Any, **kwargs: Any) -> None:
        """Rewrite the docstring of a function or class."""
        if obj.docstring is None or obj.kind.value not in ("function", "class"):
            return
        members = obj.parameters if obj.kind.value == "function" else obj.members
        names = [re.escape(member if isinstance(member, str) else member.name) for member in members]
        if names:
            obj.docstring.value = listed(obj.docstring.value, "|".join(names))


def listed(text: str, names: str) -> str:
    """`text` with each explanation of one or several of `names` as an item, and each error as a paragraph."""
    item = re.compile(rf"(?:^|(?<=[.;)] )|(?<=\n))((?:{names})(?:, (?:{names}))*): ")
    error = re.compile(r"(?<=\. )(?=[A-Z]\w*(?:Error|Problem) where)")

    def rewritten(paragraph: str) -> str:
        if paragraph.startswith(" ") or not item.search(paragraph):
            return paragraph
        prose = error.sub("\n\n", paragraph.replace("\n", " "))
        return item.sub(lambda match: f"\n\n* `{match[1].replace(', ', '`, `')}`: ", prose)

    return "\n\n".join(map(rewritten, text.split("\n\n")))
