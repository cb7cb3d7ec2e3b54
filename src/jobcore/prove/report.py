"""What a run came to: for people as text, for programs as one document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

from msgspec import Struct

from jobcore.prove.checker import Verdict
from jobcore.prove.nemesis import Fault, Kind

_SHOWN = 5


class Report(Struct, frozen=True):
    """What a run came to. Durations are seconds.

    Attributes:
        store: the scheme of its URL.
        seed: what the faults and the jobs were drawn from.
        begin: when the first push was sent, in µs of the journals' clock.
        seconds: from there to the last settlement.
        faults: what went wrong.
        left_out: what could not be made to go wrong here, and why.
        verdict: the checker's.
        settled: how many jobs were settled for good, or may have been.
        takeovers: how many ended leases monitors took over.
        recovery: for each job that was lost for the first time, as its worker was killed, the seconds from there until
            it ran again; sorted.
        stuck: ids of jobs that were neither finished nor gone at the end.
    """

    store: str
    seed: int
    begin: int
    seconds: float
    faults: list[Fault]
    left_out: list[str]
    verdict: Verdict
    settled: int
    takeovers: int
    recovery: list[float]
    stuck: list[str]

    @property
    def sound(self) -> bool:
        """Whether the store kept its word, and all that was pushed came to its end."""
        return self.verdict.sound and not self.stuck

    def document(self) -> dict[str, Any]:
        """All of it, as what JSON can hold; the same keys always; of duplicates, only the unexplained."""
        verdict = self.verdict
        return {
            "sound": self.sound,
            "store": self.store,
            "seed": self.seed,
            "seconds": round(self.seconds, 3),
            "faults": {kind.value: self._struck(kind) for kind in Kind},
            "left_out": self.left_out,
            "timeline": [self._marked(fault) for fault in self.faults],
            "pushed": verdict.attempted,
            "acknowledged": verdict.acknowledged,
            "unacknowledged": verdict.attempted - verdict.acknowledged,
            "recovered": len(verdict.recovered),
            "run": verdict.run,
            "runs": verdict.runs,
            "settled": self.settled,
            "lost": verdict.lost,
            "unexpected": verdict.unexpected,
            "duplicated": len(verdict.duplicates),
            "explained": dict(self._reasons()),
            "unexplained": [
                {"id": each.id, "after": each.after, "fence": each.fence} for each in verdict.unexplained
            ],
            "stale_accepted": [{"id": id, "fence": fence} for id, fence in verdict.stale],
            "stale_refused": verdict.refused,
            "takeovers": self.takeovers,
            "recovery_seconds": {"p50": _rounded(self._half), "max": _rounded(self._most)},
            "stuck": self.stuck,
        }  # fmt: skip

    def lines(self) -> list[tuple[str, str]]:
        """Names and what they are, to be read from top to bottom."""
        verdict = self.verdict
        faults = ", ".join(f"{self._struck(kind)} {kind}" for kind in Kind if self._struck(kind)) or "none"
        rate = self.settled / self.seconds if self.seconds else 0.0
        return [
            ("faults", faults),
            *(("left out", each) for each in self.left_out),
            ("pushed", f"{verdict.attempted}, acknowledged {verdict.acknowledged}"),
            ("unacknowledged", f"{verdict.attempted - verdict.acknowledged}, of which ran {len(verdict.recovered)}"),
            ("run", f"{verdict.run} jobs, {verdict.runs} times"),
            ("settled", f"{self.settled}, {rate:.0f} a second for {self.seconds:.1f} s"),
            ("lost", _named(verdict.lost)),
            ("unexpected", _named(verdict.unexpected)),
            ("duplicated", str(len(verdict.duplicates))),
            *((f"  {reason}", str(number)) for reason, number in self._reasons()),
            ("  unexplained", _named([each.id for each in verdict.unexplained])),
            ("leases taken over", str(self.takeovers)),
            ("stale settlements", f"{verdict.refused} refused"),
            ("  accepted", _named([id for id, _ in verdict.stale])),
            ("from kill to rerun", self._recovery()),
            ("stuck", _named(self.stuck)),
        ]

    def _marked(self, fault: Fault) -> dict[str, Any]:
        """When a fault began and how long it lasted, in seconds of the run."""
        begin, length = (fault.begin - self.begin) / 1_000_000, (fault.end - fault.begin) / 1_000_000
        return {"kind": fault.kind, "begin": _rounded(begin), "seconds": _rounded(length)}

    def _struck(self, kind: Kind) -> int:
        return sum(fault.kind is kind for fault in self.faults)

    def _reasons(self) -> list[tuple[str, int]]:
        counted = Counter(each.reason.value for each in self.verdict.duplicates if each.reason)
        return sorted(counted.items())

    @property
    def _half(self) -> float | None:
        return median(self.recovery) if self.recovery else None

    @property
    def _most(self) -> float | None:
        return self.recovery[-1] if self.recovery else None

    def _recovery(self) -> str:
        if self._half is None:
            return "nothing that was lost was run again"
        number = len(self.recovery)
        jobs = f"{number} job{'s' * (number != 1)}"
        return f"half within {self._half:.2f} s, all within {self._most:.2f} s, of {jobs}"


def _named(ids: Sequence[str]) -> str:
    """How many there are, and which, as far as that can be read."""
    shown = ", ".join(ids[:_SHOWN]) + (", …" if len(ids) > _SHOWN else "")
    return f"{len(ids)}: {shown}" if ids else "0"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
