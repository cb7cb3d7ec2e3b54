"""Our own worker."""

from peer import HANDS, JOBS, URL, enqueuing, stamp

from jobcore import Queue, Worker

queue = Queue("peers", URL)
job = queue.job(stamp)
queue.counts()  # makes the tables, if it needs any
with enqueuing():
    for first in range(0, JOBS, 1000):
        queue.enqueue_many([job.job(number) for number in range(first, min(JOBS, first + 1000))])
Worker(queue, concurrency=HANDS).run()
