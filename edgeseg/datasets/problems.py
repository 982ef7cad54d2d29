"""What is wrong with a data set, all of it at once: headings with counts and the first few names of each."""

from __future__ import annotations

from typing import Any

from edgeseg.errors import DataError, EdgeSegError

NO_FOLDER = "missing folders"
NO_PICTURES = "folders without pictures"
SAME_NAME = "names given twice"
LONELY_PICTURES = "pictures without a label file"
LONELY_LABELS = "label files without a picture"
PICTURES = "unusable pictures"
LABELS = "unusable label files"
SIZES = "pairs that differ in size"
IDS = "label files with unknown ids"
COLORS = "label files with unknown colours"

HINTS = {
    NO_FOLDER: "check the layout",
    NO_PICTURES: "put JPEG or PNG pictures there",
    SAME_NAME: "keep one file of each name",
    LONELY_PICTURES: "give both files of a pair the same name, the label file ending in .png",
    LONELY_LABELS: "add the pictures, or remove these label files",
    PICTURES: "replace them by whole JPEG or PNG files",
    LABELS: "save class ids as PNG with one channel of 8 bits",
    SIZES: "resize the label files with nearest neighbour, or leave the pairs out",
    IDS: "map the ids to classes, or to what is not judged",
    COLORS: "name the colours as classes, or as what is not judged",
}
FIRST = 3


class ContentError(DataError):
    """Contents of one file that cannot be used. heading: one of `HINTS`; detail: a few words behind the file's name."""

    def __init__(self, message: str, *, hint: str, heading: str, detail: str = "") -> None:
        super().__init__(message, hint=hint)
        self.heading, self.detail = heading, detail


class Problems:
    """A list that is filled while the files are gone through. found: heading -> names."""

    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {}

    def __len__(self) -> int:
        return sum(map(len, self.found.values()))

    def add(self, heading: str, name: str) -> None:
        """Count `name` under one of the headings of `HINTS`."""
        self.found.setdefault(heading, []).append(name)

    def add_error(self, name: str, error: EdgeSegError, heading: str) -> None:
        """Count what was raised for `name` under its own heading, or else under `heading`."""
        if isinstance(error, ContentError):
            self.add(error.heading, f"{name} ({error.detail})" if error.detail else name)
        else:
            self.add(heading, name)

    def to_dict(self) -> dict[str, Any]:
        """Count and first names by heading."""
        return {heading: {"count": len(names), "first": names[:FIRST]} for heading, names in self.found.items()}

    def check(self, where: object) -> None:
        """Raise all of it as one DataError, if there is any."""
        if not self.found:
            return
        told = [
            f"{heading}: {len(names)} ({', '.join(names[:FIRST])}{', ...' if len(names) > FIRST else ''})"
            for heading, names in self.found.items()
        ]
        raise DataError(f"{where}: {'; '.join(told)}", hint="; ".join(HINTS[heading] for heading in self.found))
