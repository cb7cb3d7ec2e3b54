"""How the Redis driver reaches its server: URLs, clients, broken connections, forks."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
import redis
from redis.cluster import RedisCluster

from jobcore.backend import (
    ConfigurationError,
    Push,
    QueueClosed,
    Refused,
    State,
    Unavailable,
    Uncertain,
)
from jobcore.backends.redis import RedisBackend, connect, link

from servers import redis as servers

JOB = [Push("a", b"x")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    with servers.server(config=["--unixsocket", _socket_path(tmp_path_factory)]) as server:
        yield server


def _socket_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.getbasetemp() / "redis.sock")


@pytest.fixture
def store(server: servers.Server) -> Iterator[redis.Redis]:
    with server.client() as client:
        client.flushall()
        yield client


def connections(store: redis.Redis) -> set[str]:
    """Who is connected but `store` itself."""
    return {client["id"] for client in store.client_list()} - {str(store.client_id())}


# -- URLs


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://h?prefx=a", "did you mean 'prefix'"),
        ("redis://h?timeout=0", "above 0"),
        ("redis://h?timeout=soon", "timeout='soon'"),
        ("redis://h?prefix={a}", "a prefix is"),
        ("redis://h?db=a", "db='a'"),
        ("redis://h/a", "number of a database"),
        ("redis://h:port", "port"),
        ("redis://h:99999", "port"),
        ("redis://", "names a host"),
        ("redis://h?ssl_ca_certs=/a", "no option 'ssl_ca_certs'"),
        ("rediss://h?ssl_check_hostname=maybe", "say yes or no"),
        ("unix://", "path"),
        ("redis+cluster://h/1", "no numbered databases"),
        ("redis+cluster://h?db=1", "no option 'db'"),
        ("http://h", "opens redis, rediss"),
    ],
)
def test_a_wrong_url_says_what_is_wrong(url: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        connect(url)


@pytest.mark.parametrize("url", ["redis://:s3cret@127.0.0.1:1", "redis+cluster://:s3cret@127.0.0.1:1"])
def test_nothing_is_opened_before_the_first_verb_and_no_password_is_shown(url: str) -> None:
    backend = connect(url)
    with pytest.raises(Unavailable) as caught:
        backend.push("q", JOB)
    assert "s3cret" not in repr(backend) + str(caught.value) + repr(caught.value.__cause__)


def test_a_wrong_password_is_refused_unseen(server: servers.Server) -> None:
    backend = connect(server.url.replace("//", "//someone:s3cret@"))
    with pytest.raises(Refused, match="WRONGPASS") as caught:
        backend.push("q", JOB)
    assert "s3cret" not in str(caught.value)


def test_options_of_a_url_are_kept_to(server: servers.Server, store: redis.Redis) -> None:
    with closing(connect(f"{server.url}?db=3&prefix=mine:own&client_name=jobs&timeout=5")) as backend:
        backend.push("q", JOB)
        assert {"3", "jobs"} <= set(next(c for c in store.client_list() if c["name"] == "jobs").values())
    with closing(connect(f"{server.url}/3?prefix=mine:own")) as backend:
        assert backend.counts("q").ready == 1
    assert store.keys("*") == []


def test_a_unix_socket(server: servers.Server, store: redis.Redis, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = _socket_path(tmp_path_factory)
    with closing(connect(f"unix://{path}")) as backend:
        assert backend.push("q", JOB)[0].created
    with closing(RedisBackend(redis.Redis(unix_socket_path=path))) as backend:
        assert backend.counts("q").ready == 1
    assert store.exists("{jobcore:q}:jobs")


# -- clients that the application has


def test_a_clients_own_connections_are_left_alone(server: servers.Server, store: redis.Redis) -> None:
    """Whatever it is set to: it decodes, repeats, asks for health."""
    client = redis.Redis.from_url(
        server.url, decode_responses=True, max_connections=1, health_check_interval=1, retry_on_timeout=True, protocol=3
    )
    busy = client.connection_pool.get_connection()  # the only one that this client may have
    with closing(RedisBackend(client)) as backend:
        backend.push("q", [Push("é", b"\xff")])
        (claim,) = backend.claim("q", 1, 9, "me", bytes(16), 99).claims
        assert (claim.id, claim.payload) == ("é", b"\xff")
    client.connection_pool.release(busy)
    client.close()


def test_something_else_is_no_client() -> None:
    with pytest.raises(ConfigurationError, match="redis-py"):
        RedisBackend("redis://localhost")  # type: ignore[arg-type]  # that is what is tested


def test_a_closed_backend_leaves_no_connection(server: servers.Server, store: redis.Redis) -> None:
    backend = connect(server.url)
    backend.push("q", JOB)
    backend.wait(["q"], 0.01)
    assert connections(store)
    backend.close()
    backend.close()
    servers.wait_until(lambda: not connections(store))
    with pytest.raises(QueueClosed):
        backend.counts("q")


def test_no_call_waits_for_another(server: servers.Server, store: redis.Redis) -> None:
    """Twenty threads wait for jobs over one backend while it pushes and claims."""
    with closing(connect(server.url)) as backend:
        begin = threading.Barrier(21)

        def wait() -> None:
            begin.wait(30)
            backend.wait(["other"], 1)

        threads = [threading.Thread(target=wait) for _ in range(20)]
        for thread in threads:
            thread.start()
        begin.wait(30)
        servers.wait_until(lambda: store.info("clients")["blocked_clients"] == 20)
        backend.push("q", JOB)
        assert backend.claim("q", 1, 9, "me", bytes(16), 99).claims
        assert store.info("clients")["blocked_clients"] > 0
        backend.push("other", [Push(f"{n}", b"x") for n in range(20)])
        for thread in threads:
            thread.join(30)


# -- connections that break


@contextmanager
def liar(answer: Callable[[bytes], bytes | None]) -> Iterator[str]:
    """A server that answers what it reads with what it is told to; None: it hangs up."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    def talk(connection: socket.socket) -> None:
        with connection, suppress(ConnectionError):
            while (heard := connection.recv(1 << 20)) and (said := answer(heard)) is not None:
                connection.sendall(said)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(30)


def _scripts(answer: bytes | None) -> Callable[[bytes], bytes | None]:
    return lambda heard: answer if b"EVAL" in heard else b"+OK\r\n"


def test_where_nobody_listens_nothing_was_carried_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unavailable):
        connect(f"redis://127.0.0.1:{port}").push("q", JOB)


def test_who_hangs_up_at_once_was_not_reached() -> None:
    with liar(lambda _: None) as url, pytest.raises(Unavailable):
        connect(url).push("q", JOB)


@pytest.mark.parametrize("answer", [None, b"", b":", b"$5\r\nab"])
def test_a_call_without_an_answer_is_uncertain_and_is_not_sent_again(answer: bytes | None) -> None:
    heard: list[bytes] = []

    def listen(command: bytes) -> bytes | None:
        heard.append(command)
        return _scripts(answer)(command)

    with liar(listen) as url, closing(connect(f"{url}?timeout=0.1")) as backend, pytest.raises(Uncertain):
        backend.push("q", JOB)
    assert len([command for command in heard if b"EVAL" in command]) == 1


def test_a_call_that_can_not_be_sent_is_uncertain() -> None:
    """The server hangs up while it is sent: what came of it, nobody knows."""
    with (
        liar(_scripts(None)) as url,
        closing(connect(url)) as backend,
        pytest.raises(Uncertain, match="sending to Redis failed"),
    ):
        backend.push("q", [Push("a", bytes(1 << 25))])


def test_a_connection_that_was_cut_while_it_idled_is_not_used(
    server: servers.Server, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "_FRESH", 0.0)  # for longer it has idled
    with closing(connect(server.url)) as backend:
        backend.push("q", JOB)
        store.client_kill_filter(_type="normal", skipme=True)
        assert backend.counts("q").ready == 1


def test_a_connection_that_is_in_use_at_the_close_is_closed_afterwards(server: servers.Server) -> None:
    backend = connect(server.url)
    connection = backend._route._link.take()
    backend.close()
    assert connection._sock is not None
    backend._route._link.give(connection)
    assert connection._sock is None


def test_a_connection_that_comes_too_late_is_closed(server: servers.Server) -> None:
    go, late = threading.Event(), []

    class Slow(redis.Connection):
        def connect(self) -> None:
            go.wait(30)
            super().connect()
            late.append(self)

    pool = redis.ConnectionPool.from_url(server.url, connection_class=Slow)
    with closing(RedisBackend(redis.Redis(connection_pool=pool), timeout=0.5)) as backend:
        with pytest.raises(Unavailable, match="no connection within"):
            backend.push("q", JOB)
        go.set()
        servers.wait_until(lambda: late and late[0]._sock is None)


def test_where_waiting_is_refused_the_queues_are_looked_at() -> None:
    """As while a cluster moves its slots. That nothing is due is what the script answers."""

    def answer(heard: bytes) -> bytes | None:
        return b"-TRYAGAIN\r\n" if b"BLPOP" in heard else _scripts(b":-1\r\n")(heard)

    with liar(answer) as url, closing(connect(url)) as backend:
        assert backend.wait(["q", "r"], 0.01) == {"q", "r"}


@pytest.mark.parametrize("error", ["OOM full", "LOADING the dataset", "READONLY replica", "NOAUTH no", "BUSY", "ERR"])
def test_an_error_that_is_answered_is_refused(error: str) -> None:
    with liar(_scripts(f"-{error}\r\n".encode())) as url, closing(connect(url)) as backend:
        for _ in range(2):
            with pytest.raises(Refused, match=error.partition(" ")[0]):
                backend.push("q", JOB)


@pytest.mark.parametrize("error", ["LOADING the dataset", "NOAUTH no", "UNBLOCKED it is a replica now", "ERR"])
def test_an_error_that_comes_once_a_push_is_stored_leaves_it_uncertain(error: str) -> None:
    def answer(heard: bytes) -> bytes | None:
        return f"-{error}\r\n".encode() if b"WAIT" in heard else _scripts(b"$1\r\nQ\r\n")(heard)

    with (
        liar(answer) as url,
        closing(connect(f"{url}?replicas=1")) as backend,
        pytest.raises(Uncertain, match="it is stored"),
    ):
        backend.push("q", JOB)


def test_an_unsettled_push_can_be_made_again(server: servers.Server, store: redis.Redis) -> None:
    """The server is stopped while the call is with it: the answer comes too late, and to nobody."""
    with closing(connect(f"{server.url}?timeout=0.2")) as backend:
        backend.counts("q")
        os.kill(server.pid, signal.SIGSTOP)
        try:
            with pytest.raises(Uncertain):
                backend.push("q", JOB)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        servers.wait_until(lambda: backend.counts("q").ready == 1)
        assert not backend.push("q", JOB)[0].created


def test_a_server_that_comes_back_is_found() -> None:
    with servers.server() as server, closing(connect(server.url)) as backend:
        backend.push("q", JOB)
        backend.wait(["q"], 0.01)
        server.kill()
        for _ in range(2):
            with pytest.raises((Unavailable, Uncertain)):
                backend.push("q", JOB)
        with pytest.raises((Unavailable, Uncertain)):
            backend.wait(["r"], 1)
        server.start()
        assert backend.push("q", JOB)[0].created  # it has forgotten all: it was set to save nothing
        assert backend.wait(["q"], 1) == {"q"}


def test_a_replica_refuses(server: servers.Server, store: redis.Redis) -> None:
    with closing(connect(server.url)) as backend:
        store.replicaof("127.0.0.1", 1)
        try:
            with pytest.raises(Refused, match="READONLY"):
                backend.push("q", JOB)
        finally:
            store.replicaof("NO", "ONE")
        assert backend.push("q", JOB)[0].created


# -- forks


def test_a_forked_child_has_connections_of_its_own(server: servers.Server, store: redis.Redis) -> None:
    with closing(connect(server.url)) as backend:
        backend.push("q", [Push("parent", b"x")])
        backend.wait(["q"], 0.01)
        before = connections(store)
        child = os.fork()
        if child == 0:
            done = False
            try:
                backend.push("q", [Push("child", b"x")])
                backend.wait(["q"], 0.01)
                done = not connections(redis.Redis.from_url(server.url)) <= before
                backend.close()
            finally:
                os._exit(not done)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        claims = backend.claim("q", 9, 9, "me", bytes(16), 99).claims
        assert [claim.id for claim in claims] == ["parent", "child"]
        servers.wait_until(lambda: connections(store) == before)


# -- clusters


@pytest.fixture(scope="module")
def node() -> Iterator[servers.Server]:
    with servers.server(cluster=True) as node:
        yield node


@pytest.mark.parametrize("given", ["url", "client"])
def test_a_cluster_is_waited_on_for_queues_of_different_slots(node: servers.Server, given: str) -> None:
    client = RedisCluster.from_url(node.url)
    url = node.url.replace("redis:", "redis+cluster:")
    with closing(connect(url) if given == "url" else RedisBackend(client)) as backend:
        queues = [f"{given}-{n}" for n in range(5)]
        assert len({client.keyslot(f"{{jobcore:{queue}}}") for queue in queues}) == 5
        assert backend.wait(queues, 0.01) == set()
        with closing(RedisBackend(client)) as other:
            other.push(queues[3], JOB)
        assert queues[3] in backend.wait(queues, 1)
        assert backend.claim(queues[3], 1, 9, "me", bytes(16), 9).claims
    client.close()


@pytest.mark.parametrize(("says", "times"), [("MOVED", 1), ("ASK", 2)])
def test_a_node_that_sends_calls_away_is_followed(node: servers.Server, says: str, times: int) -> None:
    """Once for good, where a slot has moved; each time, where one is being moved."""
    address = node.url.rpartition("//")[2]
    heard: list[bytes] = []

    def send_away(command: bytes) -> bytes | None:
        heard.append(command)
        return _scripts(f"-{says} 1 {address}\r\n".encode())(command)

    with liar(send_away) as url, closing(RedisBackend(lambda: RedisCluster.from_url(node.url))) as backend:
        _move(backend, says, url)
        assert backend.push(says, JOB)[0].created
        assert backend.push(says, JOB)[0].state is State.READY
    assert len([command for command in heard if b"EVAL" in command]) == times


def _move(backend: RedisBackend, queue: str, url: str) -> None:
    """Have a queue of a cluster be looked for elsewhere."""
    backend.counts(queue)
    backend._route._homes[f"{{jobcore:{queue}}}"] = ("127.0.0.1", int(url.rpartition(":")[2]))


def test_nodes_that_send_each_call_to_another_are_not_followed_for_ever(node: servers.Server) -> None:
    said, heard = list[bytes](), list[bytes]()

    def send_back(command: bytes) -> bytes | None:
        heard.append(command)
        return _scripts(said[0])(command)

    with liar(send_back) as url:
        said.append(f"-MOVED 1 {url.rpartition('//')[2]}\r\n".encode())
        with closing(RedisBackend(RedisCluster.from_url(node.url))) as backend:
            _move(backend, "round", url)
            with pytest.raises(Refused, match="don't agree"):
                backend.push("round", JOB)
    assert len([command for command in heard if b"EVAL" in command]) == 5


def test_an_error_that_a_node_answers_is_refused(node: servers.Server) -> None:
    with liar(_scripts(b"-OOM full\r\n")) as url, closing(RedisBackend(RedisCluster.from_url(node.url))) as backend:
        _move(backend, "full", url)
        with pytest.raises(Refused, match="OOM"):
            backend.push("full", JOB)


@pytest.mark.parametrize("forbidden", ["scan", "command"])
def test_what_a_cluster_s_account_may_not_ask_is_refused(node: servers.Server, forbidden: str) -> None:
    """SCAN is asked of each node by the driver, COMMAND by redis-py before all else."""
    with node.client() as store:
        store.execute_command("ACL", "SETUSER", forbidden, "on", "nopass", "~*", "+@all", f"-{forbidden}")
    url = node.url.replace("redis://", f"redis+cluster://{forbidden}:x@")
    with closing(connect(url)) as backend, pytest.raises(Refused, match=rf"(?i)permissions.*{forbidden}"):
        backend.queues()


def test_the_documented_account_is_enough_in_a_cluster(node: servers.Server) -> None:
    page = (Path(__file__).parents[2] / "docs" / "redis.md").read_text()
    rule = re.search(r"^ACL SETUSER jobs (.*?)^```", page, re.MULTILINE | re.DOTALL)
    more = re.search(r"in a cluster `(\+.*?)`", page)
    assert rule
    assert more
    with node.client() as store:
        store.execute_command("ACL", "SETUSER", "jobs", "reset", *rule[1].split(), *more[1].split())
    url = node.url.replace("redis://", "redis+cluster://jobs:PASSWORD@")
    with closing(connect(url)) as backend:
        backend.push("account", JOB)
        assert backend.wait(["account", "another"], 1) == {"account"}
        assert backend.claim("account", 1, 9, "me", bytes(16), 9).claims


def test_a_cluster_whose_node_went_away_is_looked_for_again() -> None:
    with (
        servers.server(cluster=True, config=["--appendonly", "yes", "--appendfsync", "always"]) as node,
        closing(connect(node.url.replace("redis:", "redis+cluster:"))) as backend,
    ):
        backend.push("q", JOB)
        node.kill()
        for _ in range(3):
            with pytest.raises((Unavailable, Uncertain)):
                backend.push("q", JOB)
        node.start()
        servers.wait_until(lambda: _is_known(backend))


def _is_known(backend: RedisBackend) -> bool:
    try:
        return not backend.push("q", JOB)[0].created
    except Refused:  # the cluster is down until its node has looked around
        return False
