# /// script
# dependencies = ["dramatiq[redis]==2.2.1", "redis==8.1.0"]
# [tool.peer]
# store = "redis"
# jobs = 2000
# again = true
# settings = "16 threads, acknowledged when run; its own middleware"
# ///
"""dramatiq on Redis."""

import signal

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from peer import HANDS, JOBS, URL, stamp

broker = RedisBroker(url=URL)
dramatiq.set_broker(broker)
actor = dramatiq.actor(stamp)
for number in range(JOBS):
    actor.send(number)
worker = dramatiq.Worker(broker, worker_threads=HANDS)
worker.start()
signal.pause()
