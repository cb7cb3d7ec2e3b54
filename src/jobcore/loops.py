"""The one loop that services share."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable


def every(interval: float, step: Callable[[], object], stop: threading.Event) -> None:
    """Call `step`, again and again, about `interval` seconds apart (a tenth more or less), until `stop` is set."""
    while not stop.wait(interval * random.uniform(0.9, 1.1)):  # noqa: S311 -- spreads load, hides nothing
        step()
