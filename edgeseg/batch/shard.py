"""`--shard i/n`: which part of the work a process does, without talking to the others."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass

from edgeseg.errors import FormatError

MAX_COUNT = 1_000_000


@dataclass(frozen=True)
class Shard:
    """Shard `index` of `count`, from 1 to `count`. Every item belongs to exactly one of them."""

    index: int = 1
    count: int = 1

    def has_name(self, name: str) -> bool:
        """Whether the item of this name is of this shard, whatever other items there are."""
        return int(hashlib.sha256(os.fsencode(name)).hexdigest()[:16], 16) % self.count == self.index - 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def shard_from_text(text: str) -> Shard:
    """The shard of "i/n", with 1 <= i <= n. FormatError for any other text."""
    match = re.fullmatch(r"([0-9]{1,7})/([0-9]{1,7})", text)
    shard = Shard(int(match[1]), int(match[2])) if match else Shard(0, 0)
    if not 1 <= shard.index <= shard.count <= MAX_COUNT:
        raise FormatError(
            f"--shard {text} is not the number of a shard",
            hint="write --shard 1/8 for the first of 8 shards, and --shard 8/8 for the last",
            code="ES-FORMAT-SHARD",
        )
    return shard
