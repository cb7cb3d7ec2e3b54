# /// script
# dependencies = ["huey[redis]==3.5.4", "redis==8.1.0"]
# [tool.peer]
# store = "redis"
# jobs = 2000
# again = false
# settings = "16 threads, results off; a job is popped before it runs"
# ///
"""huey on Redis."""

from huey import RedisHuey
from peer import HANDS, JOBS, URL, stamp

huey = RedisHuey("peer", url=URL, results=False)
task = huey.task()(stamp)
for number in range(JOBS):
    task(number)
huey.create_consumer(workers=HANDS, worker_type="thread", periodic=False).run()
