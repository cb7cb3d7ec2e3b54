"""A worker process, seen from its parent."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic

from jobcore.cli.pulse import Listening
from jobcore.monitor import new_holder


class Child:
    """A worker process started afresh (not forked), in a process group of its own.

    They hold the two ends of a pipe: the child gives signs of life, and when the pipe ends it knows that its parent is
    gone.

    Args:
        command: what to run; `--holder` and `--lifeline` are added.
        environment: of the process.
        ended: called with the exit code, on a thread of its own.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], ended: Callable[[int], object]) -> None:
        self.holder = new_holder()
        self._ended = ended
        self._started = monotonic()
        self.heard = Listening()
        self._ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(  # noqa: S603 -- our own interpreter, and no shell
                [*command, "--holder", self.holder, "--lifeline", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,  # a terminal's Ctrl-C reaches the parent alone, which passes it on: once, not twice
                env=environment,
            )
        finally:
            theirs.close()
        threading.Thread(target=self._listen, name="jobcore-child-pulse", daemon=True).start()
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

    def _listen(self) -> None:
        """Hear signs of life until the pipe ends, with the child."""
        with suppress(OSError), self._ours.makefile("rb") as lines:
            for line in lines:
                self.heard.hear(line)

    def _wait(self) -> None:
        code = self._process.wait()
        self._ours.close()
        self._ended(code)
