# /// script
# dependencies = ["streaq==7.2.0"]
# [tool.peer]
# store = "redis"
# jobs = 500
# again = true
# settings = "16 coroutines, results not kept"
# ///
"""streaq on Redis."""

import asyncio

from peer import HANDS, JOBS, URL, astamp, enqueuing
from streaq import Worker

worker = Worker(redis_url=URL, concurrency=HANDS)
task = worker.task(ttl=0)(astamp)


async def main() -> None:
    async with worker:
        with enqueuing():
            await worker.enqueue_many([task.enqueue(number) for number in range(JOBS)])
    await worker.run_async()


asyncio.run(main())
