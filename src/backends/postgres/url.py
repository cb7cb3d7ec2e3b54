"""Opening a backend by URL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from jobcore.backend import Clock, ConfigurationError, url_options
from jobcore.backends.postgres.backend import PostgresBackend


def _switch(text: str) -> bool:
    words = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}
    if text.lower() not in words:
        raise ValueError("write on or off")
    return words[text.lower()]


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < 86400:
        raise ValueError("more than 0 and less than 86400 seconds")
    return seconds


_OWN: Final[dict[str, Callable[[str], Any]]] = {
    "schema": str, "timeout": _seconds, "notify": _switch, "prepare": _switch, "check_triggers": _seconds,
}  # fmt: skip
_LIBPQ: Final = (
    "application_name", "channel_binding", "client_encoding", "connect_timeout", "gssencmode", "host", "hostaddr",
    "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "krbsrvname", "load_balance_hosts",
    "options", "passfile", "port", "require_auth", "service", "sslcert", "sslcrl", "sslkey", "sslmode",
    "sslnegotiation", "sslrootcert", "sslsni", "target_session_attrs", "tcp_user_timeout",
)  # fmt: skip


def connect(url: str, *, clock: Clock | None = None) -> PostgresBackend:
    """Open `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`; nothing is sent yet.

    Options: schema=jobcore, timeout=10 (seconds), notify=on, prepare=on (off for a pooler in transaction mode),
    check_triggers=60 (seconds), and those of libpq that concern the connection (sslmode, sslrootcert,
    application_name, connect_timeout, …).

    Raises:
        ConfigurationError: the URL has another form, or an option that does not exist.
    """
    base, options = url_options(url, {**_OWN, **dict.fromkeys(_LIBPQ, str)})
    own = {name: options[name] for name in _OWN if name in options}
    passed = {name: value for name, value in options.items() if name not in _OWN}
    scheme, separator, rest = base.partition("://")
    if not separator or scheme not in {"postgresql", "postgres"}:
        raise ConfigurationError("write postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
    try:
        target = make_url(f"postgresql+psycopg://{rest}")
    except (ArgumentError, ValueError):  # its message may hold a piece of the password
        raise ConfigurationError(
            "the URL can't be read: write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with the characters "
            "@ : / ? % of a name or password as %40 %3A %2F %3F %25"
        ) from None
    timeout = own.get("timeout", 10.0)
    defaults = {
        "connect_timeout": str(max(1, round(timeout))),
        "application_name": "jobcore",
        "client_encoding": "utf8",  # whatever the database's: what that can't hold is then the server's to refuse
    }
    return PostgresBackend(create_engine(target, connect_args=defaults | passed), clock=clock, **own)
