"""The suite without its long runs: for a second look at a driver that passes all of it."""

from __future__ import annotations

from jobcore.conformance import BackendSuite
from jobcore.conformance.details_arguments import Closing
from jobcore.conformance.details_around import Forking
from jobcore.conformance.details_claims import Attempts, Claiming, Reclaiming, Repeating
from jobcore.conformance.details_listing import Listing, Looking
from jobcore.conformance.details_time import NextDue, Times
from jobcore.conformance.histories import Histories
from jobcore.conformance.laws_apart import Law11PerItem
from jobcore.conformance.laws_holding import Law3OneHolder, Law4Fenced
from jobcore.conformance.laws_keeping import Law8Bytes, Law9Caps
from jobcore.conformance.laws_order import Law6Ordered, Law7Empty
from jobcore.conformance.laws_prompt import Law13Prompt
from jobcore.conformance.laws_storing import Law1Kept, Law2AtLeastOnce, Law5Idempotent


class BriefSuite(
    Histories,
    Forking,
    Closing,
    Looking,
    Listing,
    Attempts,
    Reclaiming,
    Repeating,
    Claiming,
    NextDue,
    Times,
    Law13Prompt,
    Law11PerItem,
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
    """All verbs, with each state and each refusal."""

    effort, one, two = BackendSuite.effort, BackendSuite.one, BackendSuite.two
