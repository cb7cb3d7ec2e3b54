"""Hand work over, run it, look at what became of it: all in one process, with no server.

    python examples/script.py

With JOBCORE_URL set, jobs live there instead, and `jobcore worker examples.script:queue` runs them elsewhere.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from jobcore import Queue, Worker

queue = Queue("hashing", os.environ.get("JOBCORE_URL", "memory://hashing"), keep_succeeded=1000)


@queue.job(max_attempts=3)
def sha256(path: str) -> str:
    """What is returned is kept with the job, as `keep_succeeded` asks."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve().parent
    files = [path for path in sorted(folder.rglob("*.py")) if path.is_file()]
    queue.enqueue_many([sha256.job(str(path)) for path in files])
    sha256.enqueue(str(folder / "not-there.py"))

    Worker(queue).run(until_empty=True)

    for entry in queue.entries("succeeded", limit=1000).entries:
        print((entry.value or b"").decode(), entry.payload.decode())
    for entry in queue.entries("failed").entries:
        print("failed:", (entry.reason or "").splitlines()[0])


if __name__ == "__main__":
    main()
