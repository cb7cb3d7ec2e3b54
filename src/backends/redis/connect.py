"""From a URL to a backend."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import redis
from redis.cluster import RedisCluster

from jobcore.backend import Clock, ConfigurationError, url_options
from jobcore.backends.redis.backend import PREFIX, TIMEOUT, RedisBackend

Options: TypeAlias = dict[str, Callable[[str], Any]]


def _flag(text: str) -> bool:
    values = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in values:
        raise ValueError("say yes or no")
    return values[text.lower()]


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 86400:
        raise ValueError("it is a number of seconds above 0")
    return value


def _path(text: str) -> str:
    if not Path(text).exists():
        raise ValueError("there is no such file")
    return text


def _check(text: str) -> str:
    if text not in {"none", "optional", "required"}:
        raise ValueError("say none, optional or required")
    return text


_OWN: Final[Options] = {"prefix": str, "timeout": _seconds, "replicas": int}
_OF_SERVER: Final[Options] = {"db": int, "client_name": str}
_OF_TLS: Final[Options] = {
    "ssl_ca_certs": _path,
    "ssl_ca_path": _path,
    "ssl_certfile": _path,
    "ssl_keyfile": _path,
    "ssl_password": str,
    "ssl_cert_reqs": _check,
    "ssl_check_hostname": _flag,
    "ssl_ciphers": str,
}
_OPTIONS: Final[dict[str, Options]] = {
    "redis": _OWN | _OF_SERVER,
    "rediss": _OWN | _OF_SERVER | _OF_TLS,
    "unix": _OWN | _OF_SERVER,
    "redis+cluster": _OWN | _OF_TLS | {"client_name": str, "tls": _flag},
}


def connect(url: str, *, clock: Clock | None = None) -> RedisBackend:
    """Open a backend; nothing is connected to before the first verb.

    Args:
        url: `redis://`, `rediss://` (TLS) or `redis+cluster://`, then `[USER:PASSWORD@]HOST[:PORT][/DB]`, or
            `unix://[USER:PASSWORD@]/PATH`; options in the query, see docs/redis.md.
        clock: what tells the time in tests, in place of the server's.

    Raises:
        ConfigurationError: the URL can't be read, or an option is unknown.
    """
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    base, options = url_options(f"{scheme}{separator}{rest}", _OPTIONS.get(scheme, {}))
    _check_base(scheme, base)
    prefix, timeout = options.pop("prefix", PREFIX), options.pop("timeout", TIMEOUT)
    replicas = options.pop("replicas", 0)
    open_backend = partial(RedisBackend, prefix=prefix, clock=clock, timeout=timeout, replicas=replicas)
    if scheme != "redis+cluster":
        return open_backend(redis.Redis.from_url(base, **options))
    tls = options.pop("tls", False)
    base = ("rediss" if tls else "redis") + base.removeprefix(scheme)
    timeouts = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
    return open_backend(lambda: RedisCluster.from_url(base, **timeouts, **options))


def _check_base(scheme: str, base: str) -> None:
    """What redis-py would pass over in silence. No message repeats the URL: there may be a password in it."""
    try:
        parts = urlsplit(base)
        _ = parts.port
    except ValueError:
        raise ConfigurationError("the URL's host or port can't be read: a port is a number up to 65535") from None
    path = parts.path.strip("/")
    if scheme not in _OPTIONS:
        raise ConfigurationError(f"the Redis driver opens {', '.join(_OPTIONS)} URLs")
    if scheme == "unix" and not path:
        raise ConfigurationError("a unix:// URL names the path of the server's socket")
    if scheme != "unix" and not parts.hostname:
        raise ConfigurationError(f"a {scheme}:// URL names a host")
    if scheme in {"redis", "rediss"} and path and not path.isdecimal():
        raise ConfigurationError(f"a {scheme}:// URL ends in the number of a database")
    if scheme == "redis+cluster" and path:
        raise ConfigurationError("a cluster has no numbered databases")
