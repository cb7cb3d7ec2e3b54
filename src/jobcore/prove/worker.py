"""A worker process that is there to be killed: `python -m jobcore.prove.worker`, told on its standard input what to do.

Its first line is `Orders`; when the rest ends, whoever started it is gone, and it goes too.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from jobcore.connect import open_backend
from jobcore.prove.journal import Journal
from jobcore.prove.recorded import recorded
from jobcore.prove.work import make_queue
from jobcore.worker import Worker

POLL_SECONDS: Final = 0.5
GRACE_SECONDS: Final = 10.0


class Orders(Struct, frozen=True):
    """What a worker process is told. Not by arguments: those can be listed, and a URL may hold a password."""

    url: str
    queue: str
    journal: str
    lease: float
    concurrency: int


def main() -> None:
    """Work until told to stop by SIGTERM, or until the parent is gone."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(process)d %(name)s %(message)s")
    orders = msgspec.json.decode(sys.stdin.buffer.readline(), type=Orders)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    journal = Journal(Path(orders.journal))
    queue = make_queue(
        orders.queue, lambda: recorded(open_backend(orders.url), journal), state=(journal, orders.lease / 4)
    )
    Worker(
        queue, concurrency=orders.concurrency, lease=orders.lease, poll_interval=POLL_SECONDS, grace=GRACE_SECONDS
    ).run()
    queue.close()


def _leave_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(0)


if __name__ == "__main__":
    main()
