"""The account that docs/redis.md gives a worker can do all that a worker does, and nothing beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis
from drivers.brief import BriefSuite
from redis.exceptions import NoPermissionError

from jobcore.backend import Push, Refused
from jobcore.backends.redis import RedisBackend, connect
from jobcore.conformance import BackendSuite, Harness
from jobcore.conformance.histories import Histories
from jobcore.testing import ManualClock

from servers import redis as servers

PAGE = Path(__file__).parents[2] / "docs" / "redis.md"


class AccountHarness(Harness):
    """A prefix of its own, below the one that the account is for."""

    examples = 8

    def __init__(self, url: str) -> None:
        self.clock = ManualClock()
        self._url = f"{url}?prefix=jobcore:{os.urandom(6).hex()}"

    def make(self) -> RedisBackend:
        return connect(self._url, clock=self.clock)


@pytest.fixture(scope="module")
def server() -> Iterator[servers.Server]:
    with servers.server() as server:
        yield server


def account(server: servers.Server, name: str, *more: str) -> str:
    """Make an account with the page's rights and some more; where it logs in."""
    rule = re.search(r"^ACL SETUSER jobs (.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert rule
    with server.client() as owner:
        owner.execute_command("ACL", "SETUSER", name, "reset", *rule[1].split(), *more)
    return server.url.replace("//", f"//{name}:PASSWORD@")


@pytest.fixture(scope="module")
def url(server: servers.Server) -> str:
    """Where a worker logs in with its account."""
    return account(server, "jobs")


@pytest.fixture
def harness(url: str) -> Harness:
    return AccountHarness(url)


class TestHistories(Histories):
    """Any history of verbs."""

    effort = BackendSuite.effort


@pytest.mark.slow
class TestLaws(BriefSuite):
    """Each law by itself."""


def test_another_programs_keys_are_out_of_its_reach(url: str) -> None:
    with closing(connect(f"{url}?prefix=other")) as backend, pytest.raises(Refused, match="NOPERM"):
        backend.push("q", [Push("a", b"x")])


def test_with_the_rights_that_are_named_for_it_the_doctor_sees_all(server: servers.Server) -> None:
    found = re.search(r"For `jobcore doctor` also `(.*?)`.*?`(\+scan)`", PAGE.read_text(), re.DOTALL)
    assert found
    with closing(connect(account(server, "doctor", *found[1].split(), found[2]))) as backend:
        assert [finding for finding in backend.diagnose() if "may not" in finding.found] == []
        backend.push("looked-for", [Push("a", b"x")])
        assert "looked-for" in backend.queues()


@pytest.mark.parametrize("command", ["FLUSHALL", "CONFIG GET *", "KEYS *", "SCAN 0", "ACL LIST", "SHUTDOWN"])
def test_what_it_has_no_use_for_it_may_not_do(url: str, command: str) -> None:
    with redis.Redis.from_url(url) as client, pytest.raises(NoPermissionError):
        client.execute_command(*command.split())
