# /// script
# dependencies = ["procrastinate==3.10.0", "psycopg[binary]==3.3.9"]
# [tool.peer]
# store = "postgres"
# jobs = 500
# again = false
# settings = "16 coroutines; jobs of a dead worker wait for a task of the user's own"
# ///
"""Procrastinate."""

import asyncio

from peer import HANDS, JOBS, URL, astamp, enqueuing
from procrastinate import App, PsycopgConnector

app = App(connector=PsycopgConnector(conninfo=URL, min_size=4, max_size=HANDS))
task = app.task(astamp, name="stamp")


async def main() -> None:
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        with enqueuing():
            await task.batch_defer_async(*[{"number": number} for number in range(JOBS)])
        await app.run_worker_async(concurrency=HANDS)


asyncio.run(main())
