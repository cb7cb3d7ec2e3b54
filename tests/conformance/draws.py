"""What random histories are made of. Durations are in microseconds."""

from __future__ import annotations

from typing import Final, TypeAlias

from hypothesis import strategies as st

from jobcore.backend import Fail, Keep, Outcome, Push, Retry, Return, State, Succeed
from jobcore.conformance.client import NO_BOUND

SECOND: Final = 1_000_000

Token: TypeAlias = tuple[int, str]
"""How long ago a token was given, among those that are current or among all, or what is forged of it."""

Grant: TypeAlias = tuple[int, int, str]
"""The limit, lease and holder of a claim."""

WHO = st.integers(0, 1)
LOST = st.sampled_from([False, False, False, False, False, True])
"""Whether a first answer is lost."""

IDS = st.sampled_from([*"abcdefghijk", "ü"])
SOME = st.lists(st.integers(0, 9), min_size=1, max_size=4)
"""Some of the jobs that are there, by their number."""

HOLDERS = st.sampled_from(["h", "hh", "g"])
LIMITS = st.sampled_from([2, 4, 1, 3, 0])
LEASES = st.sampled_from([1, SECOND, 2 * SECOND, 5 * SECOND])
DELAYS = st.just(0) | LEASES
BYTES = st.sampled_from([NO_BOUND, NO_BOUND, 4, 3, 0])
KEEPS = st.builds(Keep, st.integers(0, 3), st.integers(0, 3))
REASONS = st.sampled_from(["", "why", "ü\0\ud800"])
GRANTS: st.SearchStrategy[Grant] = st.tuples(LIMITS, LEASES, HOLDERS)
TOKEN: st.SearchStrategy[Token] = st.tuples(
    st.integers(0, 9), st.sampled_from([*["current"] * 6, "any", "fence", "call", "id"])
)
TOKENS = st.lists(TOKEN, min_size=1, max_size=4)

PUSHES = st.lists(
    st.builds(
        Push,
        id=IDS,
        payload=st.binary(max_size=4) | st.sampled_from([b"\0", b"a\0\0"]),  # what ends in NUL is cut off most easily
        priority=st.sampled_from([0, 0, 0, -100, -10, -9, 9, 10, 100]),
        delay=DELAYS,
        remember=st.sampled_from([2, 0, 5]),
    ),
    min_size=1,
    max_size=4,
)
RUN_ATS = st.none() | st.integers(-3, 3).map(lambda seconds: seconds * SECOND)
"""A `run_at`, from now, for the first job of a batch."""

OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Succeed, st.sampled_from([None, b"1"])),
    st.builds(Retry, DELAYS, REASONS),
    st.builds(Fail, st.sampled_from([State.FAILED, State.TIMED_OUT, State.BROKEN]), REASONS),
    st.just(Return()),
)
OUTCOMES_OF_A_BATCH = st.lists(OUTCOMES, min_size=1, max_size=4)
SETTLEMENTS = st.lists(st.tuples(TOKEN, OUTCOMES), min_size=1, max_size=4)
