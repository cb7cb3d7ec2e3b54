"""The push, apart from whose connection it goes through and whether that is awaited."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TypeAlias

from psycopg.errors import UniqueViolation

from jobcore.backend import Push, Pushed, Refused, State
from jobcore.backends.postgres.database import Database, Run
from jobcore.backends.postgres.rows import Parameters, Row, new_arrays, push_arrays, push_row

Steps: TypeAlias = Generator[tuple[str, Parameters], list[Row], list[Pushed]]
"""Yields a statement's stem and its parameters, is sent its rows, and returns the answer."""

_Statement: TypeAlias = Callable[[str, Sequence[Push]], tuple[str, Parameters]]
"""Gives the stem and the parameters of what stores jobs in a queue."""


def push(database: Database, queue: str, pushes: Sequence[Push]) -> list[Pushed]:
    """Push in transactions of the driver's own; raises as `Database.run`."""
    if _are_new(pushes):
        try:
            return _push_new(database, queue, pushes)
        except Refused as error:  # nothing was stored: somebody has one of the ids after all
            if not isinstance(error.__cause__, UniqueViolation):
                raise
    statement = _statement if len(pushes) == 1 else _over
    return through(database.run, _pushing(queue, pushes, "wake", statement), database.run_further)


def _push_new(database: Database, queue: str, pushes: Sequence[Push]) -> list[Pushed]:
    """Push what is expected to be new; raises as `Database.run`, and nothing is stored where one is known."""
    ((now, waits),) = database.run(*_statement(queue, pushes, "_new"))
    if waits:
        database.run_further("wake", {"queue": queue})
    return [
        Pushed(push.id, created=True, state=_waiting(push.delay > 0 or (push.run_at or 0) > now)) for push in pushes
    ]


def through(run: Run, steps: Steps, further: Run | None = None) -> list[Pushed]:
    """Take the steps of a push, each by `run`, or those after the first by `further`."""
    try:
        asked = steps.send(run(*next(steps)))
        while True:
            asked = steps.send((further or run)(*asked))
    except StopIteration as end:
        answer: list[Pushed] = end.value
        return answer


def joined(queue: str, pushes: Sequence[Push]) -> Steps:
    """Push in a caller's transaction, which may last: what is there is not locked, or claims would pass it over.

    But for those of a batch with an id to be stored over: in a statement of its own it would stand behind the rest.
    """
    ids = [push.id for push in pushes]
    over = len(ids) > 1 and (yield "expired", {"queue": queue, "ids": ids})
    return (yield from _pushing(queue, pushes, "announce", _over if over else _statement))


def _pushing(queue: str, pushes: Sequence[Push], wake: str, statement: _Statement) -> Steps:
    """Store what is new, wake by the statement `wake` whoever waits for it, and ask about the rest."""
    told: dict[str, Pushed] = {}
    while missing := [push for push in pushes if push.id not in told]:
        stored = yield statement(queue, missing)
        told |= {id: Pushed(id, created=True, state=_waiting(ahead)) for id, ahead, _ in stored}
        if stored and stored[0][2]:
            yield wake, {"queue": queue}
        if others := [push.id for push in missing if push.id not in told]:
            known = yield "known", {"queue": queue, "ids": others}
            told |= {id: Pushed(id, created=False, state=_state(state)) for id, state in known}
        statement = _over  # for what is not told by now: ids to be forgotten, or that left between the two statements
    return list(_in_turn(pushes, told))


def _are_new(pushes: Sequence[Push]) -> bool:
    """Whether to expect all to be new: an id that nobody wants remembered is most likely made up."""
    return 0 < len(pushes) == len({push.id for push in pushes if not push.remember})


def _waiting(ahead: bool) -> State:
    return State.SCHEDULED if ahead else State.READY


def _statement(queue: str, pushes: Sequence[Push], new: str = "") -> tuple[str, Parameters]:
    """The statement that stores what is new of these: one job is most often pushed alone, and then costs less."""
    if len(pushes) == 1:
        return f"push_one{new}", {"queue": queue, **push_row(pushes[0])}
    return f"push{new}", {"queue": queue, **(new_arrays(pushes) if new else push_arrays(pushes))}


def _over(queue: str, pushes: Sequence[Push]) -> tuple[str, Parameters]:
    """The statement that stores jobs over ids whose time of remembrance has passed, too."""
    return "push_over", {"queue": queue, **push_arrays(pushes)}


def _state(stored: str) -> State | None:
    return None if stored == "remembered" else State(stored)


def _in_turn(pushes: Sequence[Push], told: dict[str, Pushed]) -> Iterator[Pushed]:
    """An answer each, where only the first push of an id can have stored it."""
    seen = set[str]()
    for push in pushes:
        answer = told[push.id]
        yield Pushed(push.id, created=False, state=answer.state) if push.id in seen else answer
        seen.add(push.id)
