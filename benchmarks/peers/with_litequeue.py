# /// script
# dependencies = ["litequeue==0.9"]
# [tool.peer]
# store = "sqlite"
# jobs = 2000
# again = false
# settings = "a loop of pop and done, synchronous NORMAL (its default); messages of a dead worker wait for the user"
# ///
"""litequeue, which has no worker: a bare loop."""

from litequeue import LiteQueue
from peer import JOBS, URL, stamp

queue = LiteQueue(URL.removeprefix("sqlite:///"))
for number in range(JOBS):
    queue.put(str(number))
while message := queue.pop():
    stamp(int(message.data))
    queue.done(message.message_id)
