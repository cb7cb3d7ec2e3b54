"""The suite: all laws and fixed details as named tests, for a driver's author to subclass."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobcore.conformance.client import Client
from jobcore.conformance.concurrency import Concurrency
from jobcore.conformance.details_arguments import Arguments, Closing
from jobcore.conformance.details_around import Forking, Joining
from jobcore.conformance.details_claims import Attempts, Claiming, Reclaiming, Repeating
from jobcore.conformance.details_listing import Listing, Looking
from jobcore.conformance.details_time import NextDue, Times
from jobcore.conformance.details_transactions import Transactions
from jobcore.conformance.effort import Effort
from jobcore.conformance.harness import Harness
from jobcore.conformance.histories import Histories
from jobcore.conformance.laws_apart import Law10Apart, Law11PerItem
from jobcore.conformance.laws_cost import Law12Depth
from jobcore.conformance.laws_holding import Law3OneHolder, Law4Fenced
from jobcore.conformance.laws_keeping import Law8Bytes, Law9Caps
from jobcore.conformance.laws_order import Law6Ordered, Law7Empty
from jobcore.conformance.laws_prompt import Law13Prompt
from jobcore.conformance.laws_storing import Law1Kept, Law2AtLeastOnce, Law5Idempotent
from jobcore.conformance.loops import Loops
from jobcore.conformance.recorder import effort_of


# pytest runs what the last of the bases brings first.
class BackendSuite(
    Loops,
    Histories,
    Concurrency,
    Transactions,
    Joining,
    Forking,
    Closing,
    Arguments,
    Looking,
    Listing,
    Attempts,
    Reclaiming,
    Repeating,
    Claiming,
    NextDue,
    Times,
    Law13Prompt,
    Law12Depth,
    Law11PerItem,
    Law10Apart,
    Law9Caps,
    Law8Bytes,
    Law7Empty,
    Law6Ordered,
    Law5Idempotent,
    Law4Fenced,
    Law3OneHolder,
    Law2AtLeastOnce,
    Law1Kept,
):
    """Proves a driver. Subclass it, and give it a `harness`.

    Example:
        class TestMine(BackendSuite):
            @pytest.fixture
            def harness(self):
                return MyHarness()
    """

    @pytest.fixture
    def harness(self) -> Harness:
        """The store that is tested: an empty one for each test."""
        raise NotImplementedError("a driver's suite gives its own `harness` fixture")

    @pytest.fixture
    def effort(self, pytestconfig: pytest.Config) -> Effort:
        """How much is tried of what can be tried without end."""
        return effort_of(pytestconfig)

    @pytest.fixture
    def one(self, harness: Harness) -> Iterator[Client]:
        """A client of the store."""
        backend = harness.make()
        yield Client(backend, harness, "one")
        backend.close()

    @pytest.fixture
    def two(self, harness: Harness) -> Iterator[Client]:
        """A second client of the same store, independent of the first."""
        backend = harness.second()
        yield Client(backend, harness, "two")
        backend.close()
