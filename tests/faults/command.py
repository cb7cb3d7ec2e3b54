"""Commands that are watched, signalled and waited for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from time import monotonic

BOUND = 60.0
"""Seconds after which a test gives up waiting."""


class Command:
    """A `jobcore` command that runs in a program's folder."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jobcore", *arguments],
            cwd=folder,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stderr:
            for line in stderr:
                self._lines.put(line)
        self._lines.put(None)

    def until(self, *words: str) -> str:
        """Wait for a line with these words in it."""
        deadline = monotonic() + BOUND
        while (line := self._lines.get(timeout=max(0.0, deadline - monotonic()))) is not None:
            self.said.append(line)
            if all(word in line for word in words):
                return line
        raise AssertionError(f"it ended before it said {words}: {''.join(self.said)}")

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def interrupt(self) -> None:
        """What a terminal does at Ctrl-C: the whole group is told."""
        os.killpg(self._process.pid, signal.SIGINT)

    def ended(self) -> int:
        """Wait until it and all of its children have ended; gives its exit code."""
        deadline = monotonic() + BOUND
        while (line := self._lines.get(timeout=max(0.0, deadline - monotonic()))) is not None:
            self.said.append(line)
        return self._process.wait(BOUND)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(BOUND)
