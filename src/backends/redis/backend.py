"""The verbs over Redis: arguments to a script, its answer to values. What happens is in `lua/`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from heapq import nsmallest
from math import inf
from typing import Any, Final, TypeAlias

import redis
from redis.cluster import RedisCluster
from redis.exceptions import NoScriptError, ResponseError

from jobcore.backend import (
    Answer,
    Claim,
    Claimed,
    Clock,
    ConfigurationError,
    Counts,
    Entry,
    Finding,
    Hold,
    InvalidArgument,
    Keep,
    Outcome,
    Page,
    Push,
    Pushed,
    QueueClosed,
    Refused,
    State,
    Uncertain,
    check_claim,
    check_extend,
    check_id,
    check_peek,
    check_push,
    check_queue,
    check_reclaim,
    check_settle,
)
from jobcore.backends.redis import replies
from jobcore.backends.redis.arguments import columns_of, cursor, encode, following, token, words_of
from jobcore.backends.redis.cluster import Cluster
from jobcore.backends.redis.diagnosis import findings, keys_like, read_facts
from jobcore.backends.redis.link import Connection, exchange
from jobcore.backends.redis.routes import Route, Single
from jobcore.backends.redis.scripts import Request, command, packed, request
from jobcore.backends.redis.waiting import PATIENCE, Waiting

TIMEOUT: Final = 10.0
PREFIX: Final = "jobcore"

Ask: TypeAlias = Callable[[Connection], Any]
"""An exchange with a server, over a connection that nobody else uses meanwhile."""


class RedisBackend:
    """Jobs in Redis, Valkey or a cluster of them: `Backend`, `Wakes` and `Diagnoses`.

    A call makes one exchange with the server. It goes over connections of this object's own, made like those
    of the client but without its repeats: as many as there are calls at once.

    Args:
        client: what the application has: a client, whose own connections are not used; or a function that
            gives a cluster's client, called when it is first needed.
        prefix: what the names of all keys begin with; of letters, digits and `._:-`.
        clock: what tells the time in tests; None: the server's clock.
        timeout: seconds for connecting, and for each answer.
        replicas: how many replicas have a push before it is acknowledged; it is Uncertain if they don't say so within
            half of `timeout`.

    Raises:
        ConfigurationError: the client is no client of redis-py's, the prefix has other characters, or `replicas` is
            below 0.
    """

    def __init__(
        self,
        client: redis.Redis | RedisCluster | Callable[[], RedisCluster],
        *,
        prefix: str = PREFIX,
        clock: Clock | None = None,
        timeout: float = TIMEOUT,
        replicas: int = 0,
    ) -> None:
        self._prefix = _checked(prefix)
        if replicas < 0:
            raise ConfigurationError(f"replicas is a number of them, 0 or more, not {replicas}")
        self._replicas = replicas
        self._timeout = timeout
        self._clock = clock
        self._route = _route(client, timeout)
        self._requests: dict[tuple[str, str], Request] = {}
        self._closed = False
        self._waiting = Waiting(self._route, self._look, self._tag)
        if clock is not None:
            clock.watch(self._clock_moved)

    def push(self, queue: str, pushes: Sequence[Push]) -> list[Pushed]:
        """See `Backend.push`."""
        check_push(queue, pushes)
        self._check_open()
        if not pushes:
            return []
        payloads = b"".join([push.payload for push in pushes])
        codes = self._followed(*self._asking("push", queue, encode(columns_of(pushes)), payloads))
        return [Pushed(push.id, *replies.PUSHED[code]) for push, code in zip(pushes, codes, strict=True)]

    def claim(self, queue: str, limit: int, lease: int, holder: str, call: bytes, max_bytes: int) -> Claimed:
        """See `Backend.claim`."""
        check_claim(queue, limit, lease, holder, call, max_bytes)
        now, next_due, given = self._call(
            "claim", queue, b"%d" % limit, b"%d" % lease, holder.encode(), call, b"%d" % max_bytes
        )
        self._waiting.learn(queue, inf if next_due < 0 else (next_due - now) / 1e6)
        return Claimed(replies.claims(given), now, None if next_due < 0 else next_due)

    def reclaim(
        self, queue: str, limit: int, lease: int, holder: str, call: bytes, of: str | None = None
    ) -> list[Claim]:
        """See `Backend.reclaim`."""
        check_reclaim(queue, limit, lease, holder, call, of)
        words = b"%d" % limit, b"%d" % lease, holder.encode(), call, (of or "").encode()
        return replies.claims(self._call("reclaim", queue, *words))

    def extend(self, queue: str, holds: Sequence[Hold], lease: int) -> list[Answer]:
        """See `Backend.extend`."""
        check_extend(queue, holds, lease)
        rows = [(hold.id, token(hold)) for hold in holds]
        return replies.answers(self._batch("extend", queue, rows, b"%d" % lease))

    def settle(self, queue: str, settlements: Sequence[tuple[Hold, Outcome]], keep: Keep) -> list[Answer]:
        """See `Backend.settle`."""
        check_settle(queue, settlements, keep)
        rows = [(hold.id, token(hold), *words_of(outcome)) for hold, outcome in settlements]
        return replies.answers(self._batch("settle", queue, rows, b"%d" % keep.failed, b"%d" % keep.succeeded))

    def peek(self, queue: str, state: State, limit: int, after: str | None = None) -> Page:
        """See `Backend.peek`. Running jobs are read step by step: those that come or go meanwhile may be missed."""
        check_peek(queue, limit)
        if state is State.RUNNING:
            return self._peek_running(queue, limit, cursor(state, after))
        code, begin = replies.CODES[state].encode(), cursor(state, after)
        now, rows, end = self._call("peek", queue, code, b"%d" % limit, begin)
        entries = [entry for row in rows if (entry := replies.entry(now, row))]
        return Page(entries, following(state, end))

    def get(self, queue: str, ids: Sequence[str]) -> list[Entry | None]:
        """See `Backend.get`."""
        _check_ids(queue, ids)
        now, rows = self._batch("get", queue, ids) or (0, [])
        return [replies.entry(now, row) for row in rows]

    def counts(self, queue: str) -> Counts:
        """See `Backend.counts`."""
        check_queue(queue)
        return Counts(*self._call("counts", queue))

    def redrive(self, queue: str, ids: Sequence[str]) -> list[Answer]:
        """See `Backend.redrive`."""
        _check_ids(queue, ids)
        return replies.answers(self._batch("redrive", queue, ids))

    def remove(self, queue: str, ids: Sequence[str]) -> list[Answer]:
        """See `Backend.remove`."""
        _check_ids(queue, ids)
        return replies.answers(self._batch("remove", queue, ids))

    def destroy(self, queue: str) -> None:
        """See `Backend.destroy`."""
        check_queue(queue)
        self._call("destroy", queue)

    def wait(self, queues: Collection[str], timeout: float) -> set[str]:
        """See `Wakes.wait`. Makes fewer than two calls a second to the server while nothing happens."""
        for queue in queues:
            check_queue(queue)
        self._check_open()
        return self._waiting.wait(queues, timeout)

    def diagnose(self) -> list[Finding]:
        """See `Diagnoses.diagnose`: of a cluster, for each server that holds keys."""
        self._check_open()
        return [finding for facts in self._route.each(read_facts) for finding in findings(facts)]

    def queues(self) -> list[str]:
        """See `Diagnoses.queues`. Reads the names of all keys that the server has, in steps."""
        self._check_open()
        begin, end = f"{{{self._prefix}:", "}:jobs"
        found = self._route.each(partial(keys_like, pattern=f"{begin}*{end}".encode()))
        names = {key.decode()[len(begin) : -len(end)] for keys in found for key in keys}
        return sorted(name for name in names if ":" not in name)  # else it is of a prefix that begins like ours

    def close(self) -> None:
        """See `Backend.close`. The client that was given stays as it is."""
        self._closed = True
        self._route.close()

    def __repr__(self) -> str:
        return f"RedisBackend(prefix={self._prefix!r})"

    def _check_open(self) -> None:
        if self._closed:
            raise QueueClosed("this Redis backend was closed")

    def _tag(self, queue: str) -> str:
        """What the names of a queue's keys begin with: in a cluster, they lie together by it."""
        return f"{{{self._prefix}:{queue}}}"

    def _batch(self, verb: str, queue: str, rows: Sequence[Any], *words: bytes) -> Any:
        """Call a verb on items; an empty batch is answered here."""
        self._check_open()
        return self._call(verb, queue, *words, encode(rows)) if rows else b""

    def _call(self, verb: str, queue: str, *words: bytes) -> Any:
        """Run a verb's script once."""
        return self._route.call(*self._asking(verb, queue, *words))

    def _followed(self, tag: str, ask: Ask) -> Any:
        """Have an exchange that stores; once it is answered, as many replicas as wanted have what it stored."""
        if not self._replicas:
            return self._route.call(tag, ask)
        limit = b"%d" % (self._timeout * 500)
        wait = command(b"WAIT", b"%d" % self._replicas, limit)
        answer, reached = self._route.call(tag, partial(_with_replicas, ask, wait))
        if reached < self._replicas:
            raise Uncertain(f"it is stored, but only {reached} of {self._replicas} replicas said so in time")
        return answer

    def _asking(self, verb: str, queue: str, *words: bytes) -> tuple[str, Ask]:
        """The tag of a queue's keys, and the exchange that runs a verb's script on them once."""
        self._check_open()
        tag = self._tag(queue)
        prepared = self._requests.get((verb, tag))
        if prepared is None:
            prepared = self._requests[verb, tag] = request(verb, tag)
        now = b"%d" % self._clock.now() if self._clock else b""
        head, tail = b"*%d\r\n" % (prepared.parts + 1 + len(words)), packed([now, *words])
        return tag, partial(_run, request=prepared, head=head, tail=tail)

    def _look(self, queue: str, waiter: bytes) -> float:
        due: int = self._call("wait", queue, waiter)
        return inf if due < 0 else due / 1e6

    def _clock_moved(self) -> None:
        if not self._closed:
            self._waiting.ring()

    def _peek_running(self, queue: str, limit: int, after: bytes) -> Page:
        self._check_open()
        orders = {order: id for id, order in self._running(queue) if order > after}
        page = nsmallest(limit + 1, orders)
        found = self.get(queue, [orders[order].decode() for order in page[:limit]])
        entries = [entry for entry in found if entry and entry.state is State.RUNNING]
        return Page(entries, page[limit - 1].hex() if len(page) > limit else None)

    def _running(self, queue: str) -> list[tuple[bytes, bytes]]:
        """The id and the order of each running job, read in steps that don't hold up the server."""
        tag, step, found = self._tag(queue), b"0", dict[bytes, bytes]()
        while True:
            scan = command(b"HSCAN", f"{tag}:running".encode(), step, b"COUNT", b"1000")
            step, flat = self._route.call(tag, partial(exchange, command=scan))
            found.update(zip(flat[::2], map(replies.start_order, flat[1::2]), strict=True))
            if step == b"0":
                return list(found.items())


def _run(connection: Connection, request: Request, head: bytes, tail: bytes) -> Any:
    """Run a script by its name; a server that doesn't know it has run nothing, and is given the text."""
    try:
        return exchange(connection, head + request.by_name + tail)
    except NoScriptError:
        return exchange(connection, head + request.by_text + tail)


def _with_replicas(ask: Ask, wait: bytes, connection: Connection) -> tuple[Any, int]:
    """Have an exchange and wait for replicas; give its answer, and how many of them have what it wrote."""
    answer = ask(connection)
    try:
        return answer, exchange(connection, wait)
    except (ResponseError, Refused) as error:
        raise Uncertain(f"it is stored, and its replicas can't be waited for: {error}") from error


def _route(client: redis.Redis | RedisCluster | Callable[[], RedisCluster], timeout: float) -> Route:
    if isinstance(client, redis.Redis):
        return Single(client, timeout, PATIENCE)
    if isinstance(client, RedisCluster):
        return Cluster(lambda: client, timeout, PATIENCE)
    if callable(client):
        return Cluster(client, timeout, PATIENCE, owned=True)
    raise ConfigurationError(f"a client of redis-py's is needed, redis.Redis or RedisCluster, not {type(client)}")


def _checked(prefix: str) -> str:
    try:
        check_queue(prefix.replace(":", "."))
    except InvalidArgument:
        raise ConfigurationError(f"a prefix is 1 to 200 of A-Z a-z 0-9 . _ : -, not {prefix!r}") from None
    return prefix


def _check_ids(queue: str, ids: Sequence[str]) -> None:
    check_queue(queue)
    for id in ids:
        check_id(id)
