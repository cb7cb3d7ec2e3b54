"""What store and model must agree on, and which law is broken where they don't."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from jobcore.backend import FINISHED, Claim, Entry, State
from jobcore.conformance.counterexample import difference, disagreement
from jobcore.conformance.script import TIMES

LAWS: Final = {
    "push": "Law5Idempotent",
    "claim": "Claiming",
    "die": "Claiming",
    "reclaim": "Reclaiming",
    "extend": "Law4Fenced",
    "settle": "Law4Fenced",
    "redrive": "Law11PerItem",
    "remove": "Law11PerItem",
    "destroy": "Closing",
    "peek": "Listing",
    "pages": "Listing",
    "counts": "Looking",
    "get": "Looking",
}
"""The law that is broken if a verb answers otherwise than the model, where there is no other that is more so."""


def agree_on(law: str, got: object, wanted: object, seen: str = "answer") -> None:
    """See that an answer, or what is `seen` of it, is the model's.

    Raises:
        Disagreement: it is not.
    """
    if got != wanted:
        raise disagreement(law, got, wanted, seen)


def agree_on_all(
    law: str, got: Sequence[Entry | Claim], wanted: Sequence[Entry | Claim], seen: str, began: int | None
) -> None:
    """See that lists are alike, in all that is a law's business.

    Args:
        law: what is broken if they are not.
        got: the store's.
        wanted: the model's.
        seen: Python for the store's, as part of its `answer`.
        began: when the history did, by a clock in hand; None: times can't be known.

    Raises:
        Disagreement: they differ.
    """
    one, other = _comparable(got, began), _comparable(wanted, began)
    if one != other:
        raise difference(law, one, other, seen, began or 0)


def law_of(state: State, listed: Sequence[Entry], wanted: Sequence[Entry]) -> str:
    """The law that is broken if a listing is not as wanted."""
    got, right = ids_of(listed), ids_of(wanted)
    if {*got} != {*right}:
        return "Law9Caps" if state in FINISHED - {State.BROKEN} else "Law1Kept"
    if got != right:
        return "Listing"
    same = all(one.payload == other.payload for one, other in zip(listed, wanted, strict=True))
    return "Looking" if same else "Law8Bytes"


def _comparable(values: Sequence[Entry | Claim], began: int | None) -> list[Entry | Claim]:
    """The values without what is no business of the laws, or can't be known."""
    values = [replace(value, place=0) if _finished(value) else value for value in values]
    return [_timeless(value) for value in values] if began is None else values


def _finished(value: Entry | Claim) -> bool:
    return isinstance(value, Entry) and value.state in FINISHED


def _timeless(value: Entry | Claim) -> Entry | Claim:
    return replace(value, **dict.fromkeys(TIMES & {*value.__struct_fields__}))


def ids_of(values: Sequence[Entry | Claim]) -> list[str]:
    """The ids of what was given, in its order."""
    return [value.id for value in values]
