"""What failed is kept where Hypothesis keeps it, in `.hypothesis/`, and tried first the next time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hypothesis import settings
from hypothesis.database import ExampleDatabase

from jobcore.conformance.harness import Harness


class Failures(ExampleDatabase):
    """Hypothesis's own database, with a part for each store: what one of them breaks on says nothing of others.

    Args:
        database: the whole.
        store: the store's name.
    """

    def __init__(self, database: ExampleDatabase, store: str) -> None:
        super().__init__()
        self._database = database
        self._prefix = f"jobcore {store} ".encode()

    def save(self, key: bytes, value: bytes) -> None:
        """Keep a value."""
        self._database.save(self._prefix + key, value)

    def fetch(self, key: bytes) -> Iterable[bytes]:
        """All that is kept."""
        return self._database.fetch(self._prefix + key)

    def delete(self, key: bytes, value: bytes) -> None:
        """Keep it no longer."""
        self._database.delete(self._prefix + key, value)


def failures(harness: Harness) -> Failures | None:
    """What failed on a harness's store; None where nothing is to be kept, as in a CI."""
    database = settings.default.database if settings.default else None
    name = harness.name or f"{type(harness).__module__}.{type(harness).__qualname__}"
    return Failures(database, name) if database is not None else None


class Seeds:
    """The seeds on which a test failed.

    Args:
        harness: what it was given.
        test: its name.
    """

    def __init__(self, harness: Harness, test: str) -> None:
        self._failures = failures(harness)
        self._key = f"seeds of {test}".encode()

    def __iter__(self) -> Iterator[int]:
        """Those on which it still may fail."""
        kept = self._failures.fetch(self._key) if self._failures else ()
        return iter(sorted(map(int, kept)))

    def note(self, seed: int, *, failed: bool) -> None:
        """What came of one."""
        if self._failures and failed != (seed in self):
            change = self._failures.save if failed else self._failures.delete
            change(self._key, b"%d" % seed)
