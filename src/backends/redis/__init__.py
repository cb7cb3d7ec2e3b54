"""Jobs in Redis 6.2 and newer, or Valkey: one script a verb, a fixed number of keys a queue.

`docs/redis.md` has the layout of the store, the options of a URL, and what is promised.
"""

from jobcore.backends.redis.backend import RedisBackend
from jobcore.backends.redis.connect import connect

__all__ = ["RedisBackend", "connect"]
