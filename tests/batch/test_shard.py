"""`--shard i/n`: every item belongs to exactly one shard."""

from __future__ import annotations

import pytest

from edgeseg.batch.shard import shard_from_text
from edgeseg.errors import FormatError


@pytest.mark.parametrize("count", [1, 2, 7])
def test_every_item_belongs_to_exactly_one_shard(count):
    shards = [shard_from_text(f"{index}/{count}") for index in range(1, count + 1)]
    for name in map(str, range(40)):
        assert sum(shard.has_name(name) for shard in shards) == 1


@pytest.mark.parametrize(
    "text", ["", "1", "0/8", "9/8", "1/0", "1/8/2", "a/b", "-1/8", "1 /8", "1/1000001", "\u0661/8"]
)
def test_a_text_that_is_no_shard_is_an_error_with_a_code(text):
    with pytest.raises(FormatError) as problem:
        shard_from_text(text)
    assert problem.value.code == "ES-FORMAT-SHARD"


def test_a_shard_is_written_as_it_is_read():
    assert str(shard_from_text("3/8")) == "3/8"
