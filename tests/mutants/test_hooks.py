"""What a harness's hooks are for: bugs that show only when connections are cut, stores restarted and looked into."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from jobcore.backend import State, Unavailable, Uncertain
from jobcore.backends.memory import MemoryBackend, Store
from jobcore.conformance import Harness, Look
from jobcore.conformance.laws_apart import Law10Apart
from jobcore.conformance.laws_keeping import Law8Bytes
from jobcore.conformance.laws_prompt import Law13Prompt
from jobcore.conformance.laws_storing import Law1Kept, Law5Idempotent
from jobcore.testing import ManualClock
from mutants.trial import tried


class Distant(MemoryBackend):
    """A client of a store far away: a cut loses the answer to a call that is made then."""

    def __init__(self, harness: Faraway) -> None:
        super().__init__(harness.clock, store=harness.store)
        self.harness = harness

    def __getattribute__(self, name: str) -> Any:
        verb = super().__getattribute__(name)
        return self._over_the_line(verb) if name in {"push", "claim", "extend", "settle"} else verb

    def _over_the_line(self, verb: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            answer = verb(*arguments)
            if not self.harness.is_cut:
                return answer
            self.harness.is_cut = False
            return self.lose(verb, arguments)

        return call

    def lose(self, verb: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        raise Uncertain("the line is dead")


class Faraway(Harness):
    """A store that can be cut off, restarted and looked into."""

    client: type[Distant] = Distant

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = Store()
        self.is_cut = False

    def make(self) -> Distant:
        return self.client(self)

    def cut(self) -> bool:
        self.is_cut = True
        return True

    def restart(self) -> bool:
        kept = {id(jobs._serial): jobs._serial for jobs in self.store.queues.values()}  # not to be copied from 3.14 on
        self.store.queues = deepcopy(self.store.queues, kept)
        return True

    def look(self, queue: str) -> Look:
        with self.store.changed:
            here = self.store.queues.get(queue)
        client = MemoryBackend(self.clock, store=self.store)
        entries = [entry for state in State for entry in client.peek(queue, state, 100).entries]
        stored = {State.SCHEDULED: State.READY}
        return Look({one.id: (stored.get(one.state, one.state), one.payload) for one in entries}, [queue] * bool(here))

    def close(self) -> None:
        """Nothing is open."""


class Repeating(Distant):
    """Repeats by itself what had no answer, as client libraries do."""

    def lose(self, verb: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        return verb(*arguments)


class Denying(Distant):
    """Says of what it can't know that it was not carried out."""

    def lose(self, verb: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        raise Unavailable("the line is dead")


class Forgetful(Faraway):
    """Keeps no tokens over a restart."""

    def restart(self) -> bool:
        client = self.make()
        for entry in client.peek("q", State.RUNNING, 100).entries:
            client.reclaim("q", 1, 10_000_000, "nobody", entry.id.encode().ljust(16), entry.holder)
        return True


class Encoding(Faraway):
    """Stores payloads in another form than they were given."""

    def look(self, queue: str) -> Look:
        look = super().look(queue)
        return look._replace(jobs={id: (state, b64encode(payload)) for id, (state, payload) in look.jobs.items()})


class Littering(Faraway):
    """Leaves something behind."""

    def look(self, queue: str) -> Look:
        return super().look(queue)._replace(traces=[f"{queue}:index"])


def faraway(client: type[Distant]) -> Callable[[], Faraway]:
    """Opens stores whose clients are of a kind."""
    return type(client.__name__, (Faraway,), {"client": client})


@pytest.mark.parametrize(
    ("law", "open", "killer"),
    [
        (Law1Kept, faraway(Denying), "test_what_was_acknowledged_is_there_though_connections_are_cut"),
        (Law1Kept, Forgetful, "test_all_is_there_after_a_restart"),
        (Law1Kept, Encoding, "test_what_lies_in_the_store_is_what_is_listed"),
        (Law5Idempotent, faraway(Denying), "test_calls_that_are_repeated_after_a_cut_do_no_harm"),
        (Law5Idempotent, faraway(Repeating), "test_calls_that_are_repeated_after_a_cut_do_no_harm"),
        (Law8Bytes, Encoding, "test_a_payload_lies_in_the_store_as_it_was_given"),
        (Law10Apart, Littering, "test_a_queue_that_is_destroyed_leaves_no_trace"),
    ],
)
def test_what_only_a_hook_can_show_is_seen(law: type, open: Callable[[], Faraway], killer: str) -> None:
    verdict = tried(law, open)
    assert (verdict.killer, verdict.noticed) == (killer, True), verdict.failure


@pytest.mark.parametrize("law", [Law1Kept, Law5Idempotent, Law8Bytes, Law10Apart, Law13Prompt])
def test_a_store_that_is_cut_off_and_restarted_keeps_the_laws(law: type) -> None:
    verdict = tried(law, Faraway)
    assert (verdict.killer, verdict.failure) == (None, "")
