"""The clocks of this process, all read here: whoever simulates processes puts clocks of their own in these places.

They are read as `clocks.steady()`: a `from jobcore.clocks import steady` would keep the clock of that moment.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter, time

steady: Callable[[], float] = perf_counter
"""Seconds on a clock that nobody sets, from any start: what leases, pauses and timeouts are timed by."""

wall: Callable[[], float] = time
"""Seconds since the Unix epoch: what events are dated by, and nothing is decided by."""
