"""How much work Redis scripts do: commands, with the values that go into them and come out.

A script can go over nothing but its arguments and what commands give it, and those commands that the driver uses take
a time that grows with their arguments, their answers and the logarithm of what is stored: so this is its work. Redis
has no such count of its own, and Lua's debug library is closed to scripts, so the scripts are made to count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from unittest import mock

from jobcore.backends.redis import RedisBackend, scripts

SUFFIX = ":work"
"""What the names of the keys end in that hold what was counted."""

_COUNT = f"""
local redis = (function(real)
  local removing = {{ZREMRANGEBYLEX = true, ZREMRANGEBYSCORE = true, ZREMRANGEBYRANK = true}}
  local function size(reply)
    if type(reply) ~= 'table' then return 1 end
    local sum = 0
    for _, part in ipairs(reply) do sum = sum + size(part) end
    return sum
  end
  local function call(name, ...)
    local reply = real.call(name, ...)
    local work = 1 + select('#', ...) + size(reply) + (removing[name] and reply or 0)
    real.call('INCRBY', KEYS[1] .. '{SUFFIX}', work)
    return reply
  end
  return setmetatable({{call = call}}, {{__index = real}})
end)(redis)
"""


@contextmanager
def counting(backends: Iterable[RedisBackend]) -> Iterator[None]:
    """Have these backends' scripts count within the block."""
    real = scripts.script
    with mock.patch.object(scripts, "script", lambda verb: _counting(real(verb))):
        _forget_scripts(backends)
        yield
    _forget_scripts(backends)


def _counting(script: scripts.Script) -> scripts.Script:
    text = _COUNT.encode() + script.text
    return script._replace(text=text, sha=hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())


def _forget_scripts(backends: Iterable[RedisBackend]) -> None:
    for backend in backends:
        backend._requests.clear()
