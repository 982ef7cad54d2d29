"""All problems of a data set: headings, each with a count and the first few names."""

from __future__ import annotations

from typing import Any

from edgeseg.errors import DataError, EdgeSegError

NO_FOLDER = "missing folders"
NO_IMAGES = "folders without images"
DUPLICATE_NAMES = "duplicate names"
UNPAIRED_IMAGES = "images without a label file"
UNPAIRED_LABELS = "label files without an image"
IMAGES = "unusable images"
LABELS = "unusable label files"
SIZES = "pairs that differ in size"
IDS = "label files with unknown ids"
COLORS = "label files with unknown colours"

HINTS = {
    NO_FOLDER: "check the layout",
    NO_IMAGES: "put JPEG or PNG images there",
    DUPLICATE_NAMES: "keep one file of each name",
    UNPAIRED_IMAGES: "give both files of a pair the same name, the label file ending in .png",
    UNPAIRED_LABELS: "add the images, or remove these label files",
    IMAGES: "replace them with complete JPEG or PNG files",
    LABELS: "save class ids as PNG with one channel of 8 bits",
    SIZES: "resize the label files with nearest neighbour, or remove the pairs",
    IDS: "map the ids to classes or to ignore",
    COLORS: "map the colours to classes or to ignore",
}
FIRST = 3


class ContentError(DataError):
    """A file with unusable content. heading: one of `HINTS`. detail: a few words, shown after the file's name."""

    def __init__(self, message: str, *, hint: str, heading: str, detail: str = "") -> None:
        super().__init__(message, hint=hint)
        self.heading, self.detail = heading, detail


class Problems:
    """Collects problems. by_heading: heading -> names."""

    def __init__(self) -> None:
        self.by_heading: dict[str, list[str]] = {}

    def __len__(self) -> int:
        return sum(map(len, self.by_heading.values()))

    def add(self, heading: str, name: str) -> None:
        """Add `name` under a heading of `HINTS`."""
        self.by_heading.setdefault(heading, []).append(name)

    def add_error(self, name: str, error: EdgeSegError, heading: str) -> None:
        """Add `name` under the heading of its error, else under `heading`."""
        if isinstance(error, ContentError):
            self.add(error.heading, f"{name} ({error.detail})" if error.detail else name)
        else:
            self.add(heading, name)

    def to_dict(self) -> dict[str, Any]:
        """Count and first names by heading."""
        return {heading: {"count": len(names), "first": names[:FIRST]} for heading, names in self.by_heading.items()}

    def check(self, where: object) -> None:
        """Raise one DataError with all problems, if there are any."""
        if not self.by_heading:
            return
        lines = [
            f"{heading}: {len(names)} ({', '.join(names[:FIRST])}{', ...' if len(names) > FIRST else ''})"
            for heading, names in self.by_heading.items()
        ]
        raise DataError(f"{where}: {'; '.join(lines)}", hint="; ".join(HINTS[heading] for heading in self.by_heading))
