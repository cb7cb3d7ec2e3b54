# /// script
# dependencies = ["bullmq==3.4.4", "redis==8.1.0"]
# [tool.peer]
# store = "redis"
# jobs = 1000
# again = true
# settings = "16 coroutines, completed jobs removed"
# ///
"""BullMQ's Python package."""

import asyncio

from bullmq import Job, Queue, Worker
from peer import HANDS, JOBS, URL, astamp, enqueuing


async def stamp(job: Job, _: str) -> None:
    await astamp(job.data["number"])


async def main() -> None:
    queue = Queue("peer", {"connection": URL})
    with enqueuing():
        options = {"removeOnComplete": True}
        jobs = [{"name": "stamp", "data": {"number": number}, "opts": options} for number in range(JOBS)]
        await queue.addBulk(jobs)
    worker = Worker("peer", stamp, {"connection": URL, "concurrency": HANDS})  # noqa: F841 - runs as long as it is held
    await asyncio.Event().wait()


asyncio.run(main())
