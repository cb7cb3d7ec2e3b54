"""TLS to PostgreSQL: with a server that speaks it itself, and with TLS in front of one that may not."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

import psycopg
import pytest

from jobcore.backend import Push, Unavailable
from jobcore.backends.postgres import connect

from servers import postgres as servers
from servers import tls

OWN = [version for version in servers.versions() if tls.speaks_tls(servers.program(version))][-1:]

SCHEMA = "jobcore_tls"

RULES = """
hostssl   all certified 127.0.0.1/32 cert
hostssl   all jobcore   127.0.0.1/32 trust
hostnossl all jobcore   127.0.0.1/32 trust
"""


class Urls(NamedTuple):
    """Where TLS is spoken: to anyone, and to clients with a certificate alone."""

    open: str
    mutual: str


@pytest.fixture(scope="module")
def made() -> Iterator[tls.Certificates]:
    with tls.certificates(tls.owner_of_servers()) as made:
        yield made


@pytest.fixture(scope="module", params=["in front", *OWN])
def urls(request: pytest.FixtureRequest, made: tls.Certificates, postgres_url: str) -> Iterator[Urls]:
    with ExitStack() as stack:
        if request.param == "in front":
            contexts = [made.context(made.server, mutual=mutual) for mutual in (False, True)]
            yield Urls(*[stack.enter_context(in_front(postgres_url, context)) for context in contexts])
        else:
            yield own_urls(stack, made, request.param)


@contextmanager
def in_front(url: str, context: ssl.SSLContext) -> Iterator[str]:
    with tls.terminator(urlsplit(url).port or 5432, context, asked=True) as port:
        yield f"postgresql://jobcore@127.0.0.1:{port}/postgres"


def own_urls(stack: ExitStack, made: tls.Certificates, version: int) -> Urls:
    certificate, key = made.server
    rules = Path(made.ca).with_name("pg_hba.conf")
    rules.write_text(RULES)
    settings = {"ssl": "on", "ssl_cert_file": certificate, "ssl_key_file": key, "ssl_ca_file": made.ca}
    server = stack.enter_context(servers.server(version, hba_file=str(rules), **settings))
    with psycopg.connect(server.url, autocommit=True) as owner:
        owner.execute("CREATE ROLE certified SUPERUSER LOGIN")
    return Urls(server.url, server.url.replace("jobcore@", "certified@"))


def checked(url: str, authority: str, **options: str) -> str:
    return f"{url}?{urlencode({'schema': SCHEMA, 'sslmode': 'verify-full', 'sslrootcert': authority} | options)}"


def showing(pair: tuple[str, str]) -> dict[str, str]:
    return dict(zip(("sslcert", "sslkey"), pair, strict=True))


def use(url: str) -> None:
    """A call, a connection that listens, and a job's transaction: they come from pools of their own."""
    with closing(connect(url)) as backend:
        backend.destroy("q")
        assert backend.push("q", [Push("a", b"x")])[0].created
        assert backend.wait(["q"], 0.001) == {"q"}
        transaction = backend.transact("q")
        assert transaction.connection.connection.driver_connection.pgconn.ssl_in_use
        transaction.rollback()


def refused(url: str, says: str) -> None:
    with closing(connect(url)) as backend, pytest.raises(Unavailable, match=says):
        backend.push("q", [Push("a", b"x")])


def test_a_server_is_known_by_its_authority(urls: Urls, made: tls.Certificates) -> None:
    use(checked(urls.open, made.ca))


def test_a_server_that_another_authority_vouches_for_is_not_spoken_to(urls: Urls, made: tls.Certificates) -> None:
    refused(checked(urls.open, made.stranger), "certificate verify failed")


def test_a_missing_file_of_authorities_is_named(urls: Urls) -> None:
    refused(checked(urls.open, "/no/such.pem"), "/no/such.pem.* does not exist")


def test_a_server_of_another_name_is_not_spoken_to(made: tls.Certificates, postgres_url: str) -> None:
    with in_front(postgres_url, made.context(made.elsewhere)) as url:
        refused(checked(url, made.ca), "does not match host name")
        use(checked(url, made.ca, sslmode="verify-ca"))


def test_a_client_shows_its_certificate(urls: Urls, made: tls.Certificates) -> None:
    use(checked(urls.mutual, made.ca, **showing(made.client)))


def test_a_client_without_a_certificate_of_the_authority_is_turned_away(urls: Urls, made: tls.Certificates) -> None:
    for shown in ({"sslcert": "/none"}, showing(made.forged)):
        refused(checked(urls.mutual, made.ca, **shown), "no connection to PostgreSQL")


def test_who_asks_for_tls_does_without_it_nowhere(postgres_url: str) -> None:
    refused(f"{postgres_url}?sslmode=require", "server does not support SSL")
