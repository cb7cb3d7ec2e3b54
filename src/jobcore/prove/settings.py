"""What a run is made of."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from jobcore.errors import ConfigurationError
from jobcore.prove.nemesis import Kind
from jobcore.prove.proxy import endpoint


class Settings(Struct, frozen=True):
    """What a run is made of.

    Attributes:
        url: of the store. Nothing is touched in it but the one queue.
        queue: its name; it must be empty, and is destroyed at the end.
        jobs: how many are acknowledged before the faults end.
        faults: how many there are of each kind. What can't be had with this store is left out, and the report says so.
        workers: processes.
        producers: threads.
        lease: seconds.
        concurrency: how many jobs a worker runs at once.
        seed: of what is drawn: faults and jobs. What becomes of them is up to the timing of processes.
        keep: whether the queue stays as it is at the end.
    """

    url: str
    queue: str
    jobs: int
    faults: Mapping[Kind, int]
    workers: int = 3
    producers: int = 2
    lease: float = 2.0
    concurrency: int = 8
    seed: int = 0
    keep: bool = False

    @property
    def store(self) -> str:
        """The scheme of the URL."""
        return urlsplit(self.url).scheme

    def possible(self, *, restarts: bool) -> tuple[dict[Kind, int], list[str]]:
        """The faults that can be had here, and what is left out, and why.

        Raises:
            ConfigurationError: the store can't be shared by processes.
        """
        if self.store == "memory":
            raise ConfigurationError(
                "memory:// lives in one process: nothing can be killed and leave it behind. "
                "Try the driver by its laws: jobcore conformance memory://NAME"
            )
        reasons: dict[Kind, str] = {}
        if endpoint(self.url) is None:
            host = urlsplit(self.url).hostname
            before = f"no proxy can stand before {self.store}://{host}"
            why = before if host else "this URL names no host to be cut off from"
            reasons |= {Kind.CUT: why, Kind.STALL: why}
        if not restarts:
            reasons[Kind.SERVER] = "there is no --restart-command"
        faults = {kind: 0 if kind in reasons else number for kind, number in self.faults.items()}
        return faults, [f"{kind}: {why}" for kind, why in reasons.items() if self.faults.get(kind)]
