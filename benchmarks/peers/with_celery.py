# /// script
# dependencies = ["celery[redis]==5.7.0", "redis==8.1.0"]
# [tool.peer]
# store = "redis"
# jobs = 1000
# again = true
# settings = "16 threads, acknowledges late, no results"
# ///
"""Celery on Redis, acknowledging a task when it has run."""

from celery import Celery
from peer import HANDS, JOBS, URL, stamp

QUIET = ["--loglevel=WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"]


def main(*, late: bool) -> None:
    app = Celery("peer", broker=URL)
    app.conf.update(task_acks_late=late, task_ignore_result=True)
    task = app.task(stamp, name="stamp")
    with app.producer_pool.acquire() as producer:
        for number in range(JOBS):
            task.apply_async((number,), producer=producer)
    app.worker_main(["worker", "--pool=threads", f"--concurrency={HANDS}", *QUIET])


if __name__ == "__main__":
    main(late=True)
