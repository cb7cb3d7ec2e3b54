"""The bare loop over our driver: claim 100, settle 100; nothing is decoded, run or kept alive."""

import os
from itertools import count

from peer import JOBS, URL, stamp

from jobcore import open_backend
from jobcore.backend import Keep, Push, Succeed

backend = open_backend(URL)
for first in range(0, JOBS, 1000):
    pushes = [Push(os.urandom(8).hex(), b'{"job":"stamp","args":{"number":1}}') for _ in range(min(1000, JOBS - first))]
    backend.push("peers", pushes)
numbers = count()
while claims := backend.claim("peers", 100, 60_000_000, "bare", os.urandom(16), 1 << 30).claims:
    for _ in claims:
        stamp(next(numbers))
    backend.settle("peers", [(claim.hold, Succeed()) for claim in claims], Keep())
