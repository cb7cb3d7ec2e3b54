# /// script
# dependencies = ["saq[redis]==0.26.4", "typing-extensions==4.16.0", "redis==7.4.1"]
# [tool.peer]
# store = "redis"
# jobs = 1000
# again = true
# settings = "16 coroutines, 3 attempts, results not kept; a sweep finds jobs that are overdue"
# ///
"""SAQ on Redis."""

import asyncio

from peer import HANDS, JOBS, URL, astamp
from saq import Queue, Worker


async def stamp(_: object, *, number: int) -> None:
    await astamp(number)


async def main() -> None:
    queue = Queue.from_url(URL)
    for number in range(JOBS):
        await queue.enqueue("stamp", number=number, retries=3, ttl=-1)
    await Worker(queue, [stamp], concurrency=HANDS).start()


asyncio.run(main())
