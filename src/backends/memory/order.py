"""A sorted set whose work for one change hardly grows with its size."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice
from operator import itemgetter
from typing import Final

from jobcore.backends.memory.job import Key

_BLOCK: Final = 512
_last: Final = itemgetter(-1)


class Order:
    """Tuples in their order, kept in blocks: a change moves the keys of one block and no more.

    A shorter tuple stands before those that it begins, so `(5,)` and `(6,)` bound all that begin with 5.
    """

    def __init__(self) -> None:
        self._blocks: list[list[Key]] = []

    def add(self, key: Key) -> None:
        """Put `key`, which is not there yet, into its place."""
        at = min(self._find(key), len(self._blocks) - 1)
        if at < 0:
            self._blocks.append([key])
            return
        block = self._blocks[at]
        block.insert(bisect_left(block, key), key)
        if len(block) > 2 * _BLOCK:
            self._blocks[at : at + 1] = block[:_BLOCK], block[_BLOCK:]

    def remove(self, key: Key) -> None:
        """Take out `key`, which is there."""
        at = self._find(key)
        block = self._blocks[at]
        del block[bisect_left(block, key)]
        if not block:
            del self._blocks[at]

    def walk(self, low: Key = (), high: Key | None = None) -> Iterator[Key]:
        """The keys from `low` on, and below `high`. Change nothing meanwhile."""
        for block in islice(self._blocks, self._find(low), None):
            for key in islice(block, bisect_left(block, low), None):
                if high is not None and key >= high:
                    return
                yield key

    def rank(self, key: Key) -> int:
        """How many keys stand before `key`."""
        at = self._find(key)
        whole = sum(map(len, islice(self._blocks, at)))
        return whole + (bisect_left(self._blocks[at], key) if at < len(self._blocks) else 0)

    def last(self) -> Key:
        """The last key of a set that has one."""
        return self._blocks[-1][-1]

    def __len__(self) -> int:
        return sum(map(len, self._blocks))

    def _find(self, key: Key) -> int:
        """The number of the block that holds, or would hold, `key`; one too many if it follows all."""
        return bisect_left(self._blocks, key, key=_last)
