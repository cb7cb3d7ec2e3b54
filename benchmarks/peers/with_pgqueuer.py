# /// script
# dependencies = ["pgqueuer[asyncpg]==1.6.0"]
# [tool.peer]
# store = "postgres"
# jobs = 10000
# again = true
# settings = "batches of 1,000 (its best of 100, 300 and 1,000), coroutines without a bound, asyncpg"
# ///
"""PgQueuer."""

import asyncio

import asyncpg
from peer import JOBS, URL, astamp, enqueuing
from pgqueuer import PgQueuer
from pgqueuer.models import Job


async def main() -> None:
    queue = PgQueuer.from_asyncpg_connection(await asyncpg.connect(URL))
    await queue.queries.install()

    @queue.entrypoint("stamp")
    async def stamp(job: Job) -> None:
        await astamp(int(job.payload))

    with enqueuing():
        for first in range(0, JOBS, 1000):
            payloads = [str(number).encode() for number in range(first, min(JOBS, first + 1000))]
            await queue.queries.enqueue(["stamp"] * len(payloads), payloads, [0] * len(payloads))
    await queue.run(batch_size=1000)


asyncio.run(main())
