"""Connections of the driver's own, and one exchange over one of them: sent once, never repeated."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, AuthorizationError, BusyLoadingError, RedisError, ResponseError
from redis.retry import Retry

from jobcore.backend import Opener, Refused, Unavailable, Uncertain

T = TypeVar("T")
Dial: TypeAlias = "Callable[[], Connection]"

_REFUSALS: Final = (AuthenticationError, AuthorizationError, BusyLoadingError)
"""Errors that the server answered with, though the library counts them among those of the connection."""

_MISPLACED: Final = ("READONLY", "MASTERDOWN")
"""What a replica says. Its name may be another server's by now, which only a new connection finds."""

_FRESH: Final = 1.0
"""Seconds for which an idle connection is used unseen; later the server may have closed it."""

_POOLED: Final = ("maint", "orig_", "oss_", "himport_", "event_dispatcher", "cache")
"""How arguments begin that tie a connection to the pool that makes it."""


class Connection(Protocol):
    """What is used of a connection of the library's, whatever its class."""

    _sock: socket.socket

    def connect(self) -> None:
        """Connect and log in."""

    def disconnect(self) -> None:
        """Close the socket; in a forked child, without a word to the server."""

    def can_read(self, timeout: float = 0) -> bool:
        """Whether there is something to read. Raises when the server has closed the connection."""

    def send_packed_command(self, command: Iterable[bytes], check_health: bool = True) -> None:
        """Send."""

    def read_response(self) -> Any:
        """Read one answer; an error that the server answers with is raised."""


def dialer(kind: Callable[..., Any], arguments: Mapping[str, Any], timeout: float) -> Dial:
    """What makes connections like those of a client's pool, but such as neither repeat nor decode.

    Args:
        kind: the pool's class of connections.
        arguments: the pool's arguments for them.
        timeout: seconds for connecting, and for each answer.
    """
    own = {name: value for name, value in arguments.items() if not name.startswith(_POOLED)}
    own |= {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_timeout": False,
        "retry_on_error": [],
        "health_check_interval": 0,
        "decode_responses": False,
        "protocol": 2,
    }
    return lambda: kind(**own)


def exchange(connection: Connection, command: bytes) -> Any:
    """Send a command and read its answer. Raises as `send` and `receive`."""
    send(connection, command)
    return receive(connection)


def send(connection: Connection, command: bytes) -> None:
    """Send a packed command; `Uncertain` if that fails half-way."""
    try:
        connection.send_packed_command([command], check_health=False)
    except (RedisError, OSError) as error:
        raise Uncertain(f"sending to Redis failed: {error}") from error


def receive(connection: Connection) -> Any:
    """Read the answer to what was sent.

    Raises:
        ResponseError: the server answered with an error.
        Refused: the same, and the library has closed the connection.
        Uncertain: no answer came.
    """
    try:
        return connection.read_response()
    except ResponseError:
        raise
    except _REFUSALS as error:
        raise refusal(error) from error
    except (RedisError, OSError) as error:
        raise Uncertain(f"no answer from Redis: {error}") from error


def refusal(error: RedisError) -> Refused:
    """What an error that the server answered with is to the driver's callers."""
    kind = getattr(error, "status_code", None) or type(error).__name__  # its code, where redis-py keeps that
    return Refused(f"Redis answered {kind}: {error}")


class Link:
    """Connections to one server: as many as there are calls at once, kept for the next ones.

    A forked child makes connections of its own and leaves its parent's alone.

    Args:
        dial: makes a connection, which is then told to connect.
        timeout: seconds for that, all in all: a name may have to be resolved, which keeps no time of its own.
    """

    def __init__(self, dial: Dial, timeout: float) -> None:
        self._dial = dial
        self._opener = Opener(timeout)
        self._open = True
        self._forget()

    def _forget(self) -> None:
        self._idle: list[tuple[Connection, float]] = []
        self._pid = os.getpid()

    def call(self, ask: Callable[[Connection], T]) -> T:
        """Let `ask` have an exchange over a connection that nobody else uses meanwhile.

        Raises:
            Unavailable: there is no connecting; `ask` was not called.
            Refused: the server turned the connection away; `ask` was not called.
        """
        connection = self.take()
        try:
            answer = ask(connection)
        except ResponseError as error:
            if _is_misplaced(error):
                connection.disconnect()
                self._drop_idle()
            else:
                self.give(connection)
            raise
        except BaseException as error:
            connection.disconnect()  # an answer may yet come on it
            if isinstance(error, Uncertain):
                self._drop_idle()  # what broke one may have broken the others
            raise
        self.give(connection)
        return answer

    def take(self) -> Connection:
        """A connection, which the caller gives back or disconnects. Raises as `call`."""
        if self._pid != os.getpid():
            self._forget()
        while True:
            try:
                connection, since = self._idle.pop()
            except IndexError:
                return self._connect()
            if time.monotonic() - since < _FRESH or not _is_stale(connection):
                return connection
            connection.disconnect()

    def give(self, connection: Connection) -> None:
        """Take back a connection on which nothing is awaited."""
        if self._open:
            self._idle.append((connection, time.monotonic()))
        else:
            connection.disconnect()

    def close(self) -> None:
        """Close the connections that are idle now, and the others when they are given back."""
        self._open = False
        self._drop_idle()

    def _drop_idle(self) -> None:
        idle, pid = self._idle, self._pid
        self._forget()
        if pid == os.getpid():
            for connection, _ in idle:
                connection.disconnect()

    def _connect(self) -> Connection:
        try:
            return self._opener(self._connected, _hang_up)
        except (ResponseError, *_REFUSALS) as error:
            raise refusal(error) from error
        except Exception as error:  # also what hands out credentials, or a class of the application's, may raise
            raise Unavailable(f"Redis can't be reached: {str(error) or type(error).__name__}") from error

    def _connected(self) -> Connection:
        connection = self._dial()
        connection.connect()
        return connection


def _hang_up(connection: Connection) -> None:
    connection.disconnect()


def _is_misplaced(error: ResponseError) -> bool:
    """Whether a replica said no. Up to Redis 6.2, the code of what a script met is within the text."""
    return getattr(error, "status_code", None) in _MISPLACED or any(f"-{code} " in str(error) for code in _MISPLACED)


def _is_stale(connection: Connection) -> bool:
    try:
        return connection.can_read()
    except (RedisError, OSError):
        return True
