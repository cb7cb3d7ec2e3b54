"""Clients whose connections are cut, and stores that are started again, as far as a harness can do it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, TypeAlias, TypeVar, cast

from jobcore.backend import Backend, BackendError, Refused, Unavailable, Uncertain
from jobcore.conformance.client import Client
from jobcore.conformance.faults import Loss, losing
from jobcore.conformance.harness import Harness
from jobcore.conformance.threads import PATIENCE

T = TypeVar("T")
Record: TypeAlias = Callable[[str, object], None]

NO_CUTS: Final = "calls and answers were lost in front of the driver, for no connection can be cut"
NO_LOOK: Final = "what was stored was read through the driver, for the store can't be looked into"
NO_RESTART: Final = "clients were closed and others opened, for the store can't be restarted"


class Line:
    """A client's way to the store: it can be cut, and loses calls or answers by itself where no connection can be.

    Attributes:
        client: the client, which calls over this line.
    """

    def __init__(self, client: Client, record_property: Record) -> None:
        self._backend = client.backend
        self._harness = client.harness
        self._record = record_property
        self._loss = Loss.NOTHING
        self._cuts = 0
        self.client = Client(cast("Backend", self), client.harness, client.holder)

    def cut(self) -> None:
        """Cut it: the call under way fails, or the next one, or that goes over a new connection."""
        if not self._harness.cut():
            self._cuts += 1
            self._loss = (Loss.CALL, Loss.ANSWER)[self._cuts % 2]
            variant(self._record, NO_CUTS)

    def __getattr__(self, verb: str) -> Any:
        def call(*arguments: Any) -> Any:
            loss, self._loss = self._loss, Loss.NOTHING
            losing(loss, self._backend, verb, *arguments)
            return getattr(self._backend, verb)(*arguments)

        return call


def variant(record_property: Record, why: str) -> None:
    """Have the verdict say that the law was checked in another way, and why."""
    record_property("verdict", "variant")
    record_property("note", why)


def insist(call: Callable[[], T]) -> tuple[T, bool]:
    """What a call answers, and whether an earlier try may have been carried out: it is made until there is an answer.

    Raises:
        BackendError: the store did not come back in time.
    """
    deadline = time.monotonic() + PATIENCE
    uncertain = False
    while True:
        try:
            return call(), uncertain
        except (Unavailable, Refused, Uncertain) as error:
            uncertain |= isinstance(error, Uncertain)
            if time.monotonic() > deadline:
                raise


def attempt(call: Callable[[], T]) -> T | BackendError:
    """What a call answers, or how it failed."""
    try:
        return call()
    except (Unavailable, Refused, Uncertain) as error:
        return error


def restarted(harness: Harness, one: Client, two: Client, record_property: Record) -> None:
    """Restart the store; if that can't be done, close both clients and open others. They go on when this returns."""
    if not harness.restart():
        variant(record_property, NO_RESTART)
        for client, opened in ((one, harness.make), (two, harness.second)):
            client.backend.close()
            client.backend = opened()
    for client in (one, two):
        insist(client.counts)
