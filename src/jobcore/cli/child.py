"""A worker process, seen from its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from time import monotonic

from jobcore.monitor import new_holder


class Child:
    """A worker process started afresh (not forked), in a process group of its own.

    Its parent holds the other end of a pipe: when that ends, the child knows that its parent is gone.

    Args:
        command: what to run; `--holder` and `--lifeline` are added.
        environment: of the process.
        ended: called with the exit code, on a thread of its own.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], ended: Callable[[int], object]) -> None:
        self.holder = new_holder()
        self._ended = ended
        self._started = monotonic()
        theirs, self._ours = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 -- our own interpreter, and no shell
                [*command, "--holder", self.holder, "--lifeline", str(theirs)],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs],
                process_group=0,  # a terminal's Ctrl-C reaches the parent alone, which passes it on: once, not twice
                env=environment,
            )
        finally:
            os.close(theirs)
        threading.Thread(target=self._wait, name="jobcore-child", daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return monotonic() - self._started

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; does nothing once it has ended."""
        self._process.send_signal(number)

    def _wait(self) -> None:
        code = self._process.wait()
        os.close(self._ours)
        self._ended(code)
