"""From journals to a history: what each process wrote, put together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from jobcore.backend import Answer
from jobcore.prove.checker import Extension, History, Pushing, Settlement, Start, Taking
from jobcore.prove.journal import Answered, Dropped, Extended, PushSent, Record, SettleSent, Started, Took

_SLEWED: Final = 100
"""A clock that is set right little by little runs at most so much, a hundredth, faster or slower."""


class Told:
    """What some journals tell.

    Attributes:
        pushed: when how many jobs were acknowledged, as `(µs, number)`.
        ended: when how many jobs were settled for good.
        started: when a job began to run under a token.
        takeovers: how many ended leases were taken over, as far as whoever did it lived to say so.
        held: for each journal's name, the tokens that its process had and was not seen to settle.
    """

    def __init__(self) -> None:
        self.pushed: list[tuple[int, int]] = []
        self.ended: list[tuple[int, int]] = []
        self.started: dict[tuple[str, int], int] = {}
        self.takeovers = 0
        self.held: dict[str, set[tuple[str, int]]] = {}
        self._pushes: list[Pushing] = []
        self._takings: list[Taking] = []
        self._extensions: list[Extension] = []
        self._starts: list[Start] = []
        self._settlements: list[Settlement] = []

    def read(self, name: str, records: Iterable[Record]) -> None:
        """Take in a journal."""
        sent: dict[int, PushSent | SettleSent] = {}
        held = self.held.setdefault(name, set())
        for record in records:
            match record:
                case PushSent(call=call) | SettleSent(call=call):
                    sent[call] = record
                case Answered(call=call):
                    self._answered(sent.pop(call), record, held)
                case Dropped(call=call):
                    del sent[call]
                case Took():
                    self._took(record, held)
                case Extended():
                    self._extended(record)
                case Started(at=at, id=id, fence=fence):
                    self._starts.append(Start(id, fence))
                    self.started[id, fence] = at
        for unanswered in sent.values():
            self._sent(unanswered, None)

    def history(self, remaining: Iterable[str]) -> History:
        """The history that these journals tell, with what is in the store at its end."""
        return History(
            self._pushes, self._takings, self._extensions, self._starts, self._settlements, frozenset(remaining)
        )

    def _answered(self, sent: PushSent | SettleSent, record: Answered, held: set[tuple[str, int]]) -> None:
        self._sent(sent, record)
        if isinstance(sent, PushSent):
            self.pushed.append((record.at, len(sent.ids)))
            return
        told = list(zip(sent.tokens, record.answers, strict=True))
        self.ended.append((record.at, sum(ends for (_, _, ends), answer in told if answer is Answer.DONE)))
        held.difference_update((id, fence) for id, fence, _ in sent.tokens)

    def _sent(self, sent: PushSent | SettleSent, record: Answered | None) -> None:
        if isinstance(sent, PushSent):
            acknowledged = record is not None
            self._pushes += [Pushing(id, acknowledged, remembered) for id, remembered in sent.ids]
            return
        answers = record.answers if record else [None] * len(sent.tokens)
        self._settlements += [
            Settlement(id, fence, sent.at, ends, answer)
            for (id, fence, ends), answer in zip(sent.tokens, answers, strict=True)
        ]

    def _took(self, record: Took, held: set[tuple[str, int]]) -> None:
        until = _surely(record.sent, record.until)
        self._takings += [Taking(id, fence, record.at, until, lost) for id, fence, lost in record.tokens]
        self.takeovers += len(record.tokens) * record.reclaimed
        held.update((id, fence) for id, fence, _ in record.tokens)

    def _extended(self, record: Extended) -> None:
        until = _surely(record.sent, record.until)
        self._extensions += [Extension(id, fence, record.sent, until) for id, fence in record.tokens]


def _surely(sent: int, until: int) -> int:
    """Before when a lease has not ended by the store's clock, as far as that may differ from the journals'."""
    return until - (until - sent) // _SLEWED
