"""A worker process that is there to be killed."""

from __future__ import annotations

import logging
import os
import threading
from multiprocessing import parent_process
from pathlib import Path
from typing import Final

from msgspec import Struct

from jobcore.connect import open_backend
from jobcore.prove.journal import Journal
from jobcore.prove.recorded import recorded
from jobcore.prove.work import make_queue
from jobcore.worker import Worker

POLL_SECONDS: Final = 0.5
GRACE_SECONDS: Final = 10.0

SLOW: Final = 0.25
"""The share of a lease for which slow jobs sleep."""


class Orders(Struct, frozen=True):
    """What a worker process is told.

    Attributes:
        url: of the store.
        queue: the queue's name.
        journal: the file that it writes down in what it sees.
        log: the file that it says in what is worth a warning.
        lease: seconds.
        concurrency: how many jobs it runs at once.
    """

    url: str
    queue: str
    journal: str
    log: str
    lease: float
    concurrency: int


def work(orders: Orders) -> None:
    """Work until told to stop by SIGTERM, or until the parent is gone."""
    os.setpgrp()  # a terminal's Ctrl-C is the parent's business
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    logging.basicConfig(filename=orders.log, format="%(asctime)s %(process)d %(name)s %(message)s")
    journal = Journal(Path(orders.journal))
    state = journal, orders.lease * SLOW
    queue = make_queue(orders.queue, lambda: recorded(open_backend(orders.url), journal), state)
    lease, concurrency = orders.lease, orders.concurrency
    Worker(queue, concurrency=concurrency, lease=lease, poll_interval=POLL_SECONDS, grace=GRACE_SECONDS).run()
    queue.close()


def _leave_with_parent() -> None:
    parent = parent_process()
    if parent:
        parent.join()
        os._exit(0)
