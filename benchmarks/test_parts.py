"""What single steps cost: the codec, a decision, and each verb of each driver. `make bench`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from jobcore import Job, Queue, open_backend
from jobcore.backend import Backend, Claim, Keep, Push, Succeed
from jobcore.job import Policy
from jobcore.run import interpret

from servers import postgres, redis

BATCH = 100
LEASE = 60_000_000
_numbers = count()


@dataclass(frozen=True)
class Mail(Job[Any]):
    to: str
    subject: str
    copies: int

    def run(self) -> None: ...


@pytest.fixture(params=["memory", "sqlite", "redis", "postgres"], scope="module")
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with ExitStack() as stack:
        match request.param:
            case "memory":
                url = "memory://"
            case "sqlite":
                url = f"sqlite:///{Path(tmp_path_factory.mktemp('bench')) / 'jobs.db'}"
            case "redis":
                url = stack.enter_context(redis.server()).url
            case _:
                url = stack.enter_context(postgres.server()).url
        opened = open_backend(url)
        stack.callback(opened.close)
        yield opened


def pushes() -> list[Push]:
    return [Push(f"{next(_numbers)}", b'{"job":"noop","args":{}}') for _ in range(BATCH)]


def claimed(backend: Backend) -> list[Claim]:
    backend.push("q", pushes())
    return backend.claim("q", BATCH, LEASE, "bench", os.urandom(16), 1 << 20).claims


def test_encode(benchmark: BenchmarkFixture) -> None:
    """From a job to its payload, with the check that it comes back equal."""
    queue: Queue[Any] = Queue("q", jobs=[Mail], state=None)
    mail = Mail("a@b.c", "Hello", 2)
    kind = queue.registry.type_of(mail)
    assert benchmark(kind.encode, mail)


def test_decode(benchmark: BenchmarkFixture) -> None:
    """From a payload to its job."""
    queue: Queue[Any] = Queue("q", jobs=[Mail], state=None)
    mail = Mail("a@b.c", "Hello", 2)
    payload = queue.registry.type_of(mail).encode(mail)

    def decode() -> object:
        kind, args = queue.registry.open(payload)
        return kind.decode(args)

    assert benchmark(decode) == mail


def test_decide(benchmark: BenchmarkFixture) -> None:
    """From a result to an outcome."""
    assert benchmark(interpret, None, Policy(), 1) == Succeed()


def test_push_one(benchmark: BenchmarkFixture, backend: Backend) -> None:
    """One job, acknowledged."""
    benchmark.pedantic(lambda push: backend.push("one", [push]), setup=lambda: ((pushes()[0],), {}), rounds=300)
    backend.destroy("one")


def test_push_100(benchmark: BenchmarkFixture, backend: Backend) -> None:
    """A hundred jobs in one call."""
    benchmark.pedantic(lambda batch: backend.push("many", batch), setup=lambda: ((pushes(),), {}), rounds=30)
    backend.destroy("many")


def test_claim_100(benchmark: BenchmarkFixture, backend: Backend) -> None:
    """A hundred of a thousand jobs."""
    for _ in range(40):
        backend.push("claims", pushes())
    claim = lambda: backend.claim("claims", BATCH, LEASE, "bench", os.urandom(16), 1 << 20).claims  # noqa: E731
    assert len(benchmark.pedantic(claim, rounds=30)) == BATCH
    backend.destroy("claims")


def test_extend_100(benchmark: BenchmarkFixture, backend: Backend) -> None:
    """A hundred leases in one call."""
    holds = [claim.hold for claim in claimed(backend)]
    benchmark.pedantic(lambda: backend.extend("q", holds, LEASE), rounds=30)
    backend.destroy("q")


def test_settle_100(benchmark: BenchmarkFixture, backend: Backend) -> None:
    """A hundred successes, of which none is kept."""
    benchmark.pedantic(
        lambda claims: backend.settle("q", [(claim.hold, Succeed()) for claim in claims], Keep()),
        setup=lambda: ((claimed(backend),), {}),
        rounds=30,
    )
    backend.destroy("q")
