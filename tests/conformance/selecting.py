"""Which tests a run is to try."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest

from jobcore.conformance.laws import all_laws, law_of


def chosen(items: Iterable[pytest.Item], laws: Collection[int], *, quick: bool) -> list[pytest.Item]:
    """The items without those of other laws, if there are `laws`; and, if `quick`, with one case of each test.

    Items that the suite has nothing to do with are all chosen.
    """
    kept = []
    seen: set[Any] = set()
    for item in items:
        test = getattr(item, "originalname", item.name)
        suite = getattr(item, "cls", None)
        law = law_of(suite, test)
        if law is None or (_wanted(law, laws) and not (quick and (suite, test) in seen)):
            kept.append(item)
        seen.add((suite, test))
    return kept


def _wanted(law: str, laws: Collection[int]) -> bool:
    return not laws or all_laws()[law].number in laws
