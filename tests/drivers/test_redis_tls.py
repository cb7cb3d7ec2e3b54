"""TLS to Redis: with servers that speak it themselves, and with TLS in front of any that don't."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from jobcore.backend import Backend, ConfigurationError, Push, Unavailable
from jobcore.backends.redis import connect

from servers import redis as servers
from servers import tls

OWN = [version for version, program in servers.binaries().items() if tls.speaks_tls(Path(program))]


class Ports(NamedTuple):
    """Where TLS is spoken: to anyone, and to clients with a certificate alone."""

    open: int
    mutual: int


@pytest.fixture(scope="module")
def made() -> Iterator[tls.Certificates]:
    with tls.certificates() as made:
        yield made


@pytest.fixture(scope="module")
def server() -> Iterator[servers.Server]:
    with servers.server() as server:
        yield server


@pytest.fixture(scope="module", params=["in front", *OWN])
def ports(request: pytest.FixtureRequest, made: tls.Certificates, server: servers.Server) -> Iterator[Ports]:
    with ExitStack() as stack:
        if request.param == "in front":
            contexts = [made.context(made.server, mutual=mutual) for mutual in (False, True)]
            yield Ports(*[stack.enter_context(tls.terminator(port_of(server), context)) for context in contexts])
        else:
            yield Ports(*[own_port(stack, made, request.param, mutual) for mutual in (False, True)])


def own_port(stack: ExitStack, made: tls.Certificates, version: str, mutual: bool) -> int:
    port = free_port()
    config = options(made, port) | {"tls-auth-clients": "yes" if mutual else "no"}
    stack.enter_context(servers.server(servers.binaries()[version], config=arguments(config)))
    return port


def options(made: tls.Certificates, port: int) -> dict[str, str]:
    certificate, key = made.server
    return {"tls-port": f"{port}", "tls-cert-file": certificate, "tls-key-file": key, "tls-ca-cert-file": made.ca}


def arguments(config: dict[str, str]) -> list[str]:
    return [part for name, value in config.items() for part in (f"--{name}", value)]


def port_of(server: servers.Server) -> int:
    return urlsplit(server.url).port or 6379


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def url(port: int, **options: str) -> str:
    return f"rediss://127.0.0.1:{port}?" + "&".join(f"{name}={value}" for name, value in options.items())


def showing(pair: tuple[str, str]) -> dict[str, str]:
    return dict(zip(("ssl_certfile", "ssl_keyfile"), pair, strict=True))


def use(backend: Backend) -> None:
    """A call, and a connection of the kind that waits."""
    with closing(backend):
        backend.destroy("q")
        assert backend.push("q", [Push("a", b"x")])[0].created
        assert backend.wait(["q"], 0.001) == {"q"}


def refused(url: str, says: str) -> None:
    with closing(connect(url)) as backend, pytest.raises(Unavailable, match=says):
        backend.push("q", [Push("a", b"x")])


def test_a_server_is_known_by_its_authority(ports: Ports, made: tls.Certificates) -> None:
    use(connect(url(ports.open, ssl_ca_certs=made.ca)))


def test_a_server_that_another_authority_vouches_for_is_not_spoken_to(ports: Ports, made: tls.Certificates) -> None:
    refused(url(ports.open, ssl_ca_certs=made.stranger), "certificate verify failed")


def test_without_options_the_systems_authorities_count(ports: Ports) -> None:
    refused(url(ports.open), "certificate verify failed")


def test_who_asks_for_no_check_gets_none(ports: Ports) -> None:
    use(connect(url(ports.open, ssl_cert_reqs="none", ssl_check_hostname="no")))


def test_a_server_of_another_name_is_not_spoken_to(server: servers.Server, made: tls.Certificates) -> None:
    with tls.terminator(port_of(server), made.context(made.elsewhere)) as port:
        refused(url(port, ssl_ca_certs=made.ca), "not valid for '127.0.0.1'")
        use(connect(url(port, ssl_ca_certs=made.ca, ssl_check_hostname="no")))


def test_a_client_shows_its_certificate(ports: Ports, made: tls.Certificates) -> None:
    use(connect(url(ports.mutual, ssl_ca_certs=made.ca, **showing(made.client))))


def test_a_client_without_a_certificate_of_the_authority_is_turned_away(ports: Ports, made: tls.Certificates) -> None:
    for shown in ({}, showing(made.forged)):
        refused(url(ports.mutual, ssl_ca_certs=made.ca, **shown), "Redis can't be reached")


def test_who_does_not_speak_tls_hears_nothing(ports: Ports) -> None:
    refused(f"redis://127.0.0.1:{ports.open}", "Redis can't be reached")


@pytest.mark.parametrize("version", OWN)
def test_a_cluster_is_reached_by_tls_alone(made: tls.Certificates, version: str) -> None:
    port = free_port()
    config = options(made, port) | {"tls-auth-clients": "yes", "tls-cluster": "yes"}
    shown = "&".join(f"{name}={value}" for name, value in showing(made.client).items())
    with servers.server(servers.binaries()[version], cluster=True, config=arguments(config)):
        use(connect(f"redis+cluster://127.0.0.1:{port}?tls=yes&ssl_ca_certs={made.ca}&{shown}"))
        refused(f"redis+cluster://127.0.0.1:{port}?tls=yes&ssl_ca_certs={made.ca}", "cluster can't be reached")


@pytest.mark.parametrize("name", ["ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile"])
def test_a_file_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"{name}='/no/such.pem'.*there is no"):
        connect(url(1, **{name: "/no/such.pem"}))


def test_a_check_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"ssl_cert_reqs='maybe'.*none, optional or required"):
        connect(url(1, ssl_cert_reqs="maybe"))
