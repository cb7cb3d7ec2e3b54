"""What the services share: the one loop, and the check of their durations."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from jobcore.errors import InvalidArgument
from jobcore.job import Seconds, check_seconds


def every(interval: float, step: Callable[[], object], stop: threading.Event) -> None:
    """Call `step`, again and again, about `interval` seconds apart (a tenth more or less), until `stop` is set."""
    while not stop.wait(interval * random.uniform(0.9, 1.1)):  # noqa: S311 -- spreads load, hides nothing
        step()


def check_positive(what: str, duration: Seconds) -> float:
    """A user's duration in seconds; InvalidArgument unless it is more than none."""
    value = check_seconds(what, duration)
    if value == 0:
        raise InvalidArgument(f"{what} is more than 0 seconds")
    return value
