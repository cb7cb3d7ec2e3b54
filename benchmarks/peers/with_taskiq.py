# /// script
# dependencies = ["taskiq==0.13.0", "taskiq-redis==1.2.4", "redis==8.1.0"]
# [tool.peer]
# store = "redis"
# jobs = 2000
# again = true
# settings = "stream broker, reads 100 at a time, 16 coroutines, acknowledged when run"
# ///
"""taskiq on a Redis stream."""

import asyncio

from peer import HANDS, JOBS, URL, astamp
from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker

broker = RedisStreamBroker(URL, consumer_id="0")
task = broker.task(astamp)


async def main() -> None:
    await broker.startup()
    for number in range(JOBS):
        await task.kiq(number)
    await run_receiver_task(broker, max_async_tasks=HANDS)


asyncio.run(main())
