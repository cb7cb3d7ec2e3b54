"""A backend that fails as a network does."""

from __future__ import annotations

from enum import Enum
from typing import Any

from jobcore.backend import Backend, Uncertain


class Loss(Enum):
    """What is lost of a call: nothing, the call on its way to the store, or the answer on its way back."""

    NOTHING = "nothing"
    CALL = "call"
    ANSWER = "answer"


def losing(loss: Loss, backend: Backend, verb: str, *arguments: Any) -> None:
    """Make a call of which something is lost, if anything is.

    Raises:
        Uncertain: as a driver says it: the call was carried out, or it was not.
    """
    if loss is Loss.NOTHING:
        return
    if loss is Loss.ANSWER:
        getattr(backend, verb)(*arguments)
    raise Uncertain(f"the {loss.value} was lost")
