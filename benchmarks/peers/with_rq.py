# /// script
# dependencies = ["rq==3.0.0", "redis==8.1.0"]
# [tool.peer]
# store = "redis"
# jobs = 200
# again = true
# settings = "SimpleWorker (no fork a job), 3 attempts, results not kept"
# ///
"""RQ."""

import peer
from redis import Redis
from rq import Queue, Retry, SimpleWorker

queue = Queue("peer", connection=Redis.from_url(peer.URL))
with peer.enqueuing():
    retry = Retry(max=3)
    jobs = [Queue.prepare_data(peer.stamp, (number,), result_ttl=0, retry=retry) for number in range(peer.JOBS)]
    queue.enqueue_many(jobs)
SimpleWorker([queue], connection=queue.connection).work(logging_level="WARNING")
