# /// script
# dependencies = ["huey==3.5.4"]
# [tool.peer]
# store = "sqlite"
# jobs = 500
# again = false
# settings = "one thread, results off, fsync off (its default); a job is popped before it runs"
# ///
"""huey on SQLite."""

from huey import SqliteHuey
from peer import JOBS, URL, stamp

huey = SqliteHuey("peer", filename=URL.removeprefix("sqlite:///"), results=False)
task = huey.task()(stamp)
for number in range(JOBS):
    task(number)
huey.create_consumer(workers=1, worker_type="thread", periodic=False, initial_delay=0.001).run()
