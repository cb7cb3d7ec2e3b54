"""From journals to a history: what each process wrote, put together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from jobcore.backend import Answer
from jobcore.prove.checker import Extension, History, Pushing, Settlement, Start, Taking
from jobcore.prove.journal import Answered, Dropped, Extended, PushSent, Record, SettleSent, Started, Took

_SLEWED: Final = 100
"""A clock that is set right little by little runs at most so much, a hundredth, faster or slower."""


class Told:
    """What some journals tell. Times are µs of their clock; a call's is that of its being sent.

    Attributes:
        ended: when each job was settled for good, or may have been.
        takeovers: how many ended leases were taken over, as far as whoever did it lived to say so.
        held: for each journal's name, the tokens that its process had and was not seen to settle.
    """

    def __init__(self) -> None:
        self.ended: dict[str, int] = {}
        self.takeovers = 0
        self.held: dict[str, set[tuple[str, int]]] = {}
        self._sent: dict[str, int] = {}
        self._acknowledged: set[str] = set()
        self._pushes: list[Pushing] = []
        self._takings: list[Taking] = []
        self._extensions: list[Extension] = []
        self._lost: dict[tuple[str, int], int] = {}  # for each token, how often its job had been lost
        self._runs: dict[str, list[tuple[int, int]]] = {}  # for each id, the tokens it began to run under, and when
        self._settlements: list[Settlement] = []

    def read(self, name: str, records: Iterable[Record]) -> None:
        """Take in a journal."""
        sent: dict[int, PushSent | SettleSent] = {}
        held = self.held.setdefault(name, set())
        for record in records:
            match record:
                case PushSent(call=call) | SettleSent(call=call):
                    sent[call] = record
                case Answered(call=call, answers=answers):
                    self._called(sent.pop(call), answers, held)
                case Dropped(call=call):
                    del sent[call]
                case Took():
                    self._took(record, held)
                case Extended():
                    self._extended(record)
                case Started(at=at, id=id, fence=fence):
                    self._runs.setdefault(id, []).append((fence, at))
        for unanswered in sent.values():
            self._called(unanswered, None, held)

    @property
    def pushed(self) -> dict[str, int]:
        """When each job's push was first sent, of those that are known to have been stored."""
        stored = self._acknowledged | self.ended.keys()
        return {id: at for id, at in self._sent.items() if id in stored}

    def history(self, remaining: Iterable[str]) -> History:
        """The history that these journals tell, with what is in the store at its end."""
        starts = [Start(id, fence) for id, runs in self._runs.items() for fence, _ in runs]
        return History(self._pushes, self._takings, self._extensions, starts, self._settlements, frozenset(remaining))

    def recovery(self, journal: str, killed: int) -> list[float]:
        """For each job that was lost for the first time as this process was killed, the seconds until it ran again.

        Of others it says nothing: what was lost twice waits until it can be run alone.
        """
        again = []
        for id, fence in self.held[journal]:
            runs = [at for run, at in self._runs.get(id, ()) if run > fence and self._lost[id, run]]
            again += [(min(runs) - killed) / 1_000_000] if runs and not self._lost[id, fence] else []
        return again

    def _called(self, sent: PushSent | SettleSent, answers: list[Answer] | None, held: set[tuple[str, int]]) -> None:
        if isinstance(sent, PushSent):
            self._pushed(sent, acknowledged=answers is not None)
        else:
            self._settled(sent, answers or [None] * len(sent.tokens))
            if answers:
                held.difference_update((id, fence) for id, fence, _ in sent.tokens)

    def _pushed(self, sent: PushSent, *, acknowledged: bool) -> None:
        for id, remembered in sent.ids:
            self._pushes.append(Pushing(id, acknowledged, remembered))
            self._sent[id] = min(sent.at, self._sent.get(id, sent.at))
        if acknowledged:
            self._acknowledged.update(id for id, _ in sent.ids)

    def _settled(self, sent: SettleSent, answers: Sequence[Answer | None]) -> None:
        for (id, fence, ends), answer in zip(sent.tokens, answers, strict=True):
            self._settlements.append(Settlement(id, fence, sent.at, ends, answer))
            if ends and answer is not Answer.LOST:
                self.ended[id] = max(sent.at, self.ended.get(id, 0))

    def _took(self, record: Took, held: set[tuple[str, int]]) -> None:
        until = _surely(record.sent, record.until)
        self._takings += [Taking(id, fence, record.at, until, lost) for id, fence, lost in record.tokens]
        self._lost.update({(id, fence): lost for id, fence, lost in record.tokens})
        self.takeovers += len(record.tokens) * record.reclaimed
        held.update((id, fence) for id, fence, _ in record.tokens)

    def _extended(self, record: Extended) -> None:
        until = _surely(record.sent, record.until)
        self._extensions += [Extension(id, fence, record.sent, until) for id, fence in record.tokens]


def _surely(sent: int, until: int) -> int:
    """Before when a lease has not ended by the store's clock, as far as that may differ from the journals'."""
    return until - (until - sent) // _SLEWED
