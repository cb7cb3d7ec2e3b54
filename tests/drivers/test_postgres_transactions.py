"""PostgreSQL: a job's own writes commit with its success, fenced by its token."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from core.loops import Told, eventually, states
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from jobcore import ExceptionBehavior, JobContext, LinearBackoff, Queue, Worker
from jobcore.backend import (
    Answer,
    Claim,
    ConfigurationError,
    Conflict,
    InvalidArgument,
    Keep,
    Push,
    QueueClosed,
    Refused,
    Retry,
    Succeed,
    Transacts,
    Unavailable,
    Uncertain,
)
from jobcore.backends.postgres import PostgresBackend
from jobcore.backends.postgres.watchdog import cut_off
from jobcore.events import Kind

from servers import postgres

LEASE = 60_000_000
NONE_KEPT = Keep()


def psycopg_url(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    engine = create_engine(psycopg_url(postgres_url))
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS rows; CREATE TABLE rows (word text PRIMARY KEY)"))
    yield engine
    engine.dispose()


@pytest.fixture
def backend(engine: Engine) -> Iterator[PostgresBackend]:
    backend = PostgresBackend(engine, schema="transactions")
    backend.destroy("q")
    yield backend
    backend.destroy("q")
    backend.close()


def rows(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return [*connection.scalars(text("SELECT word FROM rows ORDER BY word"))]


def write(connection: Connection, word: str) -> None:
    connection.execute(text("INSERT INTO rows VALUES (:word)"), {"word": word})


def take(backend: PostgresBackend, id: str = "a") -> Claim:
    backend.push("q", [Push(id, b"{}")])
    (claim,) = backend.claim("q", 1, LEASE, "me", uuid4().bytes, 1).claims
    return claim


def take_over(backend: PostgresBackend) -> Claim:
    """Take the one running job over, as a monitor does once its holder is known to be dead."""
    (claim,) = backend.reclaim("q", 1, LEASE, "other", uuid4().bytes, "me")
    return claim


class TestCommit:
    def test_what_was_written_and_the_success_are_one(self, backend: PostgresBackend, engine: Engine) -> None:
        claim = take(backend)
        transaction = backend.transact("q")
        write(transaction.connection, "a")
        assert (rows(engine), backend.counts("q").running) == ([], 1)
        assert transaction.commit(claim.hold, Succeed(), NONE_KEPT) is Answer.DONE
        assert (rows(engine), backend.get("q", ["a"])) == (["a"], [None])

    def test_a_kept_success_has_its_value_and_keeps_the_cap(self, backend: PostgresBackend) -> None:
        for id in "abc":
            transaction = backend.transact("q")
            assert transaction.commit(take(backend, id).hold, Succeed(id.encode()), Keep(succeeded=2)) is Answer.DONE
        assert [entry and entry.value for entry in backend.get("q", [*"abc"])] == [None, b"b", b"c"]

    def test_a_job_that_was_taken_over_writes_nothing(self, backend: PostgresBackend, engine: Engine) -> None:
        claim = take(backend)
        transaction = backend.transact("q")
        write(transaction.connection, "stale")
        newer = take_over(backend)
        assert transaction.commit(claim.hold, Succeed(), NONE_KEPT) is Answer.LOST
        again = backend.transact("q")
        write(again.connection, "fresh")
        assert again.commit(newer.hold, Succeed(), NONE_KEPT) is Answer.DONE
        assert rows(engine) == ["fresh"]

    def test_nothing_is_kept_from_others_before_it(self, backend: PostgresBackend) -> None:
        """A transaction that is open, and has written, holds up no verb: neither on its own job nor on others."""
        claim = take(backend)
        transaction = backend.transact("q")
        write(transaction.connection, "a")
        assert backend.extend("q", [claim.hold], LEASE) == [Answer.HELD]
        assert backend.settle("q", [(take(backend, "b").hold, Succeed())], Keep(succeeded=1)) == [Answer.DONE]
        assert transaction.commit(claim.hold, Succeed(), Keep(succeeded=1)) is Answer.DONE

    def test_a_lease_that_is_extended_meanwhile_does_no_harm(self, backend: PostgresBackend, engine: Engine) -> None:
        """The job's row has changed since the transaction began: at a higher isolation level that would fail it."""
        claim = take(backend)
        transaction = backend.transact("q")
        write(transaction.connection, "a")
        backend.extend("q", [claim.hold], LEASE)
        assert transaction.commit(claim.hold, Succeed(), NONE_KEPT) is Answer.DONE
        assert rows(engine) == ["a"]

    def test_a_job_enqueued_on_it_is_there_with_it(self, backend: PostgresBackend) -> None:
        claim = take(backend)
        transaction = backend.transact("q")
        backend.join(transaction.connection, "q", [Push("next", b"{}")])
        assert backend.counts("q").ready == 0
        transaction.commit(claim.hold, Succeed(), NONE_KEPT)
        assert backend.counts("q").ready == 1

    def test_savepoints_are_the_jobs_own(self, backend: PostgresBackend, engine: Engine) -> None:
        claim = take(backend)
        transaction = backend.transact("q")
        write(transaction.connection, "a")
        with pytest.raises(Exception, match="UniqueViolation"), transaction.connection.begin_nested():
            write(transaction.connection, "a")
        write(transaction.connection, "b")
        assert transaction.commit(claim.hold, Succeed(), NONE_KEPT) is Answer.DONE
        assert rows(engine) == ["a", "b"]

    def test_an_orm_session_on_it_commits_only_into_it(self, backend: PostgresBackend, engine: Engine) -> None:
        claim = take(backend)
        transaction = backend.transact("q")
        with Session(transaction.connection) as session:
            session.add(WordRow(word="a"))
            session.commit()
        assert rows(engine) == []
        assert transaction.commit(claim.hold, Succeed(), NONE_KEPT) is Answer.DONE
        assert rows(engine) == ["a"]

    def test_a_transaction_that_failed_is_not_committed(self, backend: PostgresBackend, engine: Engine) -> None:
        """What the job caught without a savepoint, PostgreSQL does not forgive."""
        claim = take(backend)
        transaction = backend.transact("q")
        write(transaction.connection, "a")
        with pytest.raises(Exception, match="UniqueViolation"):
            write(transaction.connection, "a")
        with pytest.raises(Refused, match="current transaction is aborted"):
            transaction.commit(claim.hold, Succeed(), NONE_KEPT)
        assert (rows(engine), backend.counts("q").running) == ([], 1)

    def test_a_constraint_that_is_checked_at_the_commit_refuses_it(
        self, backend: PostgresBackend, engine: Engine
    ) -> None:
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE rows ADD UNIQUE (word) DEFERRABLE INITIALLY DEFERRED"))
            connection.execute(text("ALTER TABLE rows DROP CONSTRAINT rows_pkey"))
        claim = take(backend)
        transaction = backend.transact("q")
        write(transaction.connection, "a")
        write(transaction.connection, "a")
        with pytest.raises(Refused, match="duplicate key"):
            transaction.commit(claim.hold, Succeed(), NONE_KEPT)
        assert (rows(engine), backend.counts("q").running) == ([], 1)

    def test_malformed_arguments_are_refused(self, backend: PostgresBackend) -> None:
        with pytest.raises(InvalidArgument):
            backend.transact("no queue")
        transaction = backend.transact("q")
        with pytest.raises(InvalidArgument):
            transaction.commit(take(backend).hold, Succeed(), Keep(succeeded=-1))
        transaction.rollback()


class TestConflict:
    """What the server rolls back at the commit to resolve a conflict, of which the job knows nothing."""

    @pytest.fixture
    def hasty(self, engine: Engine) -> Iterator[PostgresBackend]:
        """A client that is the first to notice a deadlock, and so its victim."""
        impatient = create_engine(engine.url, connect_args={"options": "-c deadlock_timeout=10ms"})
        backend = PostgresBackend(impatient, schema="transactions")
        backend.destroy("q")
        yield backend
        backend.close()
        impatient.dispose()

    def test_a_deadlock_is_told_as_a_conflict(self, hasty: PostgresBackend, engine: Engine) -> None:
        claim, transaction = take(hasty), hasty.transact("q")
        with rival(engine, transaction.connection), pytest.raises(Conflict, match="deadlock detected"):
            transaction.commit(claim.hold, Succeed(), NONE_KEPT)
        assert (rows(engine), hasty.counts("q").running) == (["rival"], 1)

    def test_a_serialization_failure_at_the_very_end_is_one_as_well(
        self, backend: PostgresBackend, engine: Engine
    ) -> None:
        claim, transaction = take(backend), backend.transact("q")
        with late_failure(engine):
            write(transaction.connection, "a")
            with pytest.raises(Conflict, match="at the end"):
                transaction.commit(claim.hold, Succeed(), NONE_KEPT)
        assert (rows(engine), backend.counts("q").running) == ([], 1)

    def test_a_job_is_run_again_and_writes_once(self, hasty: PostgresBackend, engine: Engine) -> None:
        """Though an exception of its own would fail it."""
        shop = Shop(hasty)
        with ExitStack() as rivals:

            @shop.queue.job(context=True, backoff=LinearBackoff(0))
            def work(context: JobContext[None]) -> None:
                if context.attempt == 1:
                    rivals.enter_context(rival(engine, context.transaction(), context.id))
                write(context.transaction(), f"{context.attempt}")

            work.enqueue()
            assert shop.became() == ({}, [Kind.RETRIED, Kind.SUCCEEDED])
        assert rows(engine) == ["2", "rival"]


@contextmanager
def rival(engine: Engine, ours: Connection, id: str = "a") -> Iterator[None]:
    """Another program that holds a job's row, and waits for the one that the transaction `ours` writes.

    It is patient: of a deadlock it is not the victim, and goes on.
    """
    write(ours, "rival")
    with psycopg.connect(engine.url.set(drivername="postgresql").render_as_string(hide_password=False)) as program:
        program.execute("SET deadlock_timeout = '1h'")
        program.execute("SELECT FROM transactions.jobs WHERE id = %s FOR UPDATE", [id])
        going_on = threading.Thread(
            target=lambda: [program.execute("INSERT INTO rows VALUES ('rival')"), program.commit()]
        )
        going_on.start()
        waits = text(f"SELECT 1 FROM pg_locks WHERE pid = {program.info.backend_pid} AND NOT granted")
        with engine.connect() as looking:
            eventually(lambda: looking.scalar(waits))
        yield
        going_on.join()


@contextmanager
def late_failure(engine: Engine) -> Iterator[None]:
    """Has each transaction that writes a row fail at its COMMIT."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION fail_late() RETURNS trigger LANGUAGE plpgsql"
            " AS $$ BEGIN RAISE serialization_failure USING MESSAGE = 'at the end'; END $$"
        )
        connection.exec_driver_sql(
            "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON rows DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION fail_late()"
        )
    yield
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP FUNCTION fail_late() CASCADE")


class Base(DeclarativeBase):
    pass


class WordRow(Base):
    __tablename__ = "rows"
    word: Mapped[str] = mapped_column(primary_key=True)


def test_it_transacts(backend: PostgresBackend) -> None:
    assert isinstance(backend, Transacts)


def test_a_rollback_undoes_and_changes_nothing(backend: PostgresBackend, engine: Engine) -> None:
    claim = take(backend)
    transaction = backend.transact("q")
    write(transaction.connection, "a")
    transaction.rollback()
    assert (rows(engine), backend.counts("q").running) == ([], 1)
    assert backend.settle("q", [(claim.hold, Succeed())], NONE_KEPT) == [Answer.DONE]


def commit_by_sql(connection: Connection) -> None:
    connection.exec_driver_sql("COMMIT")


def commit_below(connection: Connection) -> None:
    connection.connection.driver_connection.commit()  # type: ignore[union-attr]  # it is connected


def commit_below_and_go_on(connection: Connection) -> None:
    commit_below(connection)
    connection.exec_driver_sql("SELECT 1")


def leave_a_block(connection: Connection) -> None:
    with connection:
        pass


def commit_the_transaction(connection: Connection) -> None:
    transaction = connection.get_transaction()
    assert transaction is not None
    transaction.commit()


def roll_a_session_back(connection: Connection) -> None:
    with Session(connection) as session:
        session.execute(text("SELECT 1"))
        session.rollback()


class TestGuard:
    """The job must not end its transaction by itself: half of it would stand without the other."""

    @pytest.mark.parametrize(
        "tamper",
        [
            Connection.commit,
            Connection.rollback,
            Connection.close,
            leave_a_block,
            commit_the_transaction,
            roll_a_session_back,
        ],
    )
    def test_it_is_refused_where_it_is_tried_and_at_the_end(
        self, backend: PostgresBackend, engine: Engine, tamper: Callable[[Connection], None]
    ) -> None:
        claim = take(backend)
        transaction = backend.transact("q")
        write(transaction.connection, "a")
        with pytest.raises(InvalidArgument, match="ends with the job"):
            tamper(transaction.connection)
        with pytest.raises(Refused, match="ends with the job"):  # a job that caught that does not get away with it
            transaction.commit(claim.hold, Succeed(), NONE_KEPT)
        assert (rows(engine), backend.counts("q").running) == ([], 1)

    @pytest.mark.parametrize("tamper", [commit_by_sql, commit_below, commit_below_and_go_on, Connection.invalidate])
    def test_what_goes_past_sqlalchemy_is_seen_at_the_end(
        self, backend: PostgresBackend, tamper: Callable[[Connection], None]
    ) -> None:
        claim = take(backend)
        transaction = backend.transact("q")
        write(transaction.connection, "a")
        tamper(transaction.connection)
        with pytest.raises(Refused, match="ends with the job"):
            transaction.commit(claim.hold, Succeed(), NONE_KEPT)
        assert backend.counts("q").running == 1

    def test_a_connection_that_was_closed_is_not_touched_again(self, backend: PostgresBackend, engine: Engine) -> None:
        """It went back to the pool, and is somebody else's by now."""
        claim = take(backend)
        first = backend.transact("q")
        with pytest.raises(InvalidArgument):
            first.connection.close()
        second = backend.transact("q")
        write(second.connection, "a")
        first.rollback()
        assert second.commit(claim.hold, Succeed(), NONE_KEPT) is Answer.DONE
        assert rows(engine) == ["a"]


class TestLevel:
    """READ COMMITTED, or none."""

    @pytest.mark.parametrize(
        ("level", "options"),
        [
            ("SERIALIZABLE", {"isolation_level": "SERIALIZABLE"}),
            ("REPEATABLE READ", {"isolation_level": "REPEATABLE READ"}),
            ("AUTOCOMMIT", {"isolation_level": "AUTOCOMMIT"}),
            ("SERIALIZABLE", {"connect_args": {"options": "-c default_transaction_isolation=serializable"}}),
        ],
    )
    def test_an_engine_at_another_is_refused(
        self, backend: PostgresBackend, engine: Engine, level: str, options: dict[str, Any]
    ) -> None:
        other = create_engine(engine.url, **options)
        at_other = PostgresBackend(other, schema="transactions")
        with pytest.raises(ConfigurationError, match=f"READ COMMITTED, and this engine's connections are at {level}"):
            at_other.transact("q")
        at_other.close()
        other.dispose()

    def test_a_job_can_set_no_other(self, backend: PostgresBackend) -> None:
        transaction = backend.transact("q")
        with pytest.raises(Exception, match="must be called before any query"):
            transaction.connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        transaction.rollback()


class TestStatementTimeout:
    def test_it_is_as_long_as_was_said(self, backend: PostgresBackend) -> None:
        transaction = backend.transact("q", 50_000)
        with pytest.raises(Exception, match="statement timeout"):
            transaction.connection.exec_driver_sql("SELECT pg_sleep(60)")
        transaction.rollback()

    @pytest.mark.parametrize(("own", "expected"), [("7s", "7s"), ("0", "5s")])
    def test_the_sessions_own_goes_first(
        self, backend: PostgresBackend, engine: Engine, own: str, expected: str
    ) -> None:
        other = create_engine(engine.url, connect_args={"options": f"-c statement_timeout={own}"})
        at_other = PostgresBackend(other, schema="transactions")
        transaction = at_other.transact("q", 5_000_000)
        assert transaction.connection.scalar(text("SHOW statement_timeout")) == expected
        transaction.rollback()
        at_other.close()
        other.dispose()


def pid_of(connection: Connection) -> int:
    return int(connection.scalars(text("SELECT pg_backend_pid()")).one())


class TestPool:
    def test_connections_are_used_again(self, backend: PostgresBackend) -> None:
        pids = set()
        for _ in range(3):
            transaction = backend.transact("q")
            pids.add(pid_of(transaction.connection))
            transaction.rollback()
        assert len(pids) == 1

    def test_no_transaction_waits_for_another(self, backend: PostgresBackend) -> None:
        begun = [backend.transact("q") for _ in range(17)]
        assert len({pid_of(each.connection) for each in begun}) == 17
        for each in begun:
            each.rollback()

    def test_one_that_was_cut_off_while_it_idled_is_replaced(self, backend: PostgresBackend, engine: Engine) -> None:
        first = backend.transact("q")
        pid = pid_of(first.connection)
        first.rollback()
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
            sessions = text("SELECT 1 FROM pg_stat_activity WHERE pid = :pid")
            eventually(lambda: not connection.execute(sessions, {"pid": pid}).all())
        second = backend.transact("q")
        assert pid_of(second.connection) != pid
        second.rollback()

    def test_it_is_left_as_it_was_found(self, backend: PostgresBackend) -> None:
        """What the settlement is planned by is not what the next job's statements are planned by."""
        first = backend.transact("q")
        first.commit(take(backend).hold, Succeed(), NONE_KEPT)
        second = backend.transact("q")
        assert second.connection.scalar(text("SHOW enable_seqscan")) == "on"
        second.rollback()

    def test_a_closed_backend_begins_none_and_ends_what_has_begun(
        self, backend: PostgresBackend, engine: Engine
    ) -> None:
        claim = take(backend)
        closed = PostgresBackend(engine, schema="transactions")
        transaction = closed.transact("q")
        write(transaction.connection, "a")
        closed.close()
        with pytest.raises(QueueClosed):
            closed.transact("q")
        assert transaction.commit(claim.hold, Succeed(), NONE_KEPT) is Answer.DONE
        assert rows(engine) == ["a"]

    def test_no_connection_is_unavailable(self, engine: Engine) -> None:
        away = create_engine(engine.url.set(port=1))
        nowhere = PostgresBackend(away)
        with pytest.raises(Unavailable):
            nowhere.transact("q")
        nowhere.close()
        away.dispose()

    def test_behind_a_pooler_it_works_too(self, backend: PostgresBackend, engine: Engine) -> None:
        pooled = PostgresBackend(engine, schema="transactions", prepare=False)
        for n in range(8):  # psycopg prepares what it has sent five times
            claim, transaction = take(backend, f"{n}"), pooled.transact("q")
            write(transaction.connection, f"{n}")
            assert transaction.commit(claim.hold, Succeed(), Keep(succeeded=9)) is Answer.DONE
        transaction = pooled.transact("q")
        assert transaction.connection.scalar(text("SELECT count(*) FROM pg_prepared_statements")) == 0
        transaction.rollback()
        pooled.close()
        assert len(rows(engine)) == 8


class Cut:
    """COMMITs that are not answered: cut off before they are sent, or once they are done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commit = psycopg.Connection.commit
        self.instead: Callable[[psycopg.Connection[Any]], None] = self.commit

        def commit(raw: psycopg.Connection[Any]) -> None:
            self.instead(raw)

        monkeypatch.setattr(psycopg.Connection, "commit", commit)

    def after(self, raw: psycopg.Connection[Any]) -> None:
        self.commit(raw)
        cut_off(raw)
        raw.execute("SELECT 1")

    def before(self, raw: psycopg.Connection[Any]) -> None:
        cut_off(raw)
        self.commit(raw)

    def unseen(self, raw: psycopg.Connection[Any]) -> None:
        """Before it is sent, and so that the server does not see it."""
        self.line = socket.socket(fileno=os.dup(raw.fileno()))
        dead, other = socket.socketpair()
        with dead, other:
            os.dup2(dead.fileno(), raw.fileno())
        self.commit(raw)


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Cut:
    return Cut(monkeypatch)


class TestLostCommit:
    """What became of a COMMIT that was not answered is asked of the server."""

    @pytest.mark.parametrize("keep", [0, 3])
    def test_one_that_was_done_is_done(self, backend: PostgresBackend, engine: Engine, cut: Cut, keep: int) -> None:
        claim, transaction = take(backend), backend.transact("q")
        write(transaction.connection, "a")
        cut.instead = cut.after
        assert transaction.commit(claim.hold, Succeed(), Keep(succeeded=keep)) is Answer.DONE
        assert rows(engine) == ["a"]

    def test_one_that_was_not_is_not(self, backend: PostgresBackend, engine: Engine, cut: Cut) -> None:
        claim, transaction = take(backend), backend.transact("q")
        write(transaction.connection, "a")
        cut.instead = cut.before
        with pytest.raises(Unavailable, match="rolled back"):
            transaction.commit(claim.hold, Succeed(), NONE_KEPT)
        assert (rows(engine), backend.counts("q").running) == ([], 1)

    def test_one_that_the_server_still_waits_for_is_waited_for(self, engine: Engine, cut: Cut) -> None:
        """It has not seen that its client is gone, and gives it up in the time that a verb may take."""
        backend = PostgresBackend(engine, schema="transactions", timeout=4)
        backend.destroy("q")
        claim, transaction = take(backend), backend.transact("q")
        write(transaction.connection, "a")
        cut.instead = cut.unseen
        with pytest.raises(Unavailable, match="rolled back"):
            transaction.commit(claim.hold, Succeed(), NONE_KEPT)
        assert (rows(engine), backend.counts("q").running) == ([], 1)
        cut.line.close()
        backend.close()

    def test_one_that_was_not_and_whose_job_was_taken_over_is_lost(
        self, backend: PostgresBackend, engine: Engine, cut: Cut
    ) -> None:
        claim, transaction = take(backend), backend.transact("q")
        write(transaction.connection, "a")

        def taken_over(raw: psycopg.Connection[Any]) -> None:
            cut_off(raw)
            eventually(lambda: backend.reclaim("q", 1, LEASE, "other", uuid4().bytes, "me"))
            cut.commit(raw)

        cut.instead = taken_over
        assert transaction.commit(claim.hold, Succeed(), NONE_KEPT) is Answer.LOST
        assert rows(engine) == []

    def test_a_server_that_can_not_be_asked_leaves_it_uncertain(
        self, backend: PostgresBackend, engine: Engine, cut: Cut, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Then a settlement by the same token finds out: it is refused, so the transaction was committed."""

        def away(*_: Any) -> Any:
            raise Unavailable("away")

        claim, transaction = take(backend), backend.transact("q")
        write(transaction.connection, "a")
        cut.instead = cut.after
        with monkeypatch.context() as patch:
            patch.setattr(backend._database, "run", away)
            with pytest.raises(Uncertain):
                transaction.commit(claim.hold, Succeed(), NONE_KEPT)
        assert backend.settle("q", [(claim.hold, Retry())], NONE_KEPT) == [Answer.LOST]
        assert rows(engine) == ["a"]

    def test_one_that_the_server_knows_nothing_of_is_uncertain(
        self, backend: PostgresBackend, cut: Cut, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It forgets what became of transactions that are two thousand million others ago."""
        claim, transaction = take(backend), backend.transact("q")
        cut.instead = cut.after
        monkeypatch.setattr(backend._database, "run", lambda *_: [("unknown",)])
        with pytest.raises(Uncertain, match="does not know"):
            transaction.commit(claim.hold, Succeed(), NONE_KEPT)

    @pytest.mark.slow
    def test_an_id_that_is_given_again_after_a_crash_does_not_deceive(self, cut: Cut) -> None:
        """The transaction's id was not on disk: another one gets it, and that is the one that the server knows of."""
        with postgres.server(wal_writer_delay="10s") as server:
            backend = PostgresBackend(create_engine(psycopg_url(server.url)), schema="transactions")
            claim, transaction = take(backend), backend.transact("q")

            def crash(raw: psycopg.Connection[Any]) -> None:
                cut.instead = cut.commit
                mine = raw.execute("SELECT pg_current_xact_id()").fetchone()
                server.restart()
                with psycopg.connect(server.url) as another:
                    assert another.execute("SELECT pg_current_xact_id()").fetchone() == mine
                cut.commit(raw)

            cut.instead = crash
            with pytest.raises(Unavailable, match="rolled back"):
                transaction.commit(claim.hold, Succeed(), NONE_KEPT)
            backend.close()

    def test_a_connection_that_breaks_before_has_not_committed(self, backend: PostgresBackend, engine: Engine) -> None:
        claim, transaction = take(backend), backend.transact("q")
        write(transaction.connection, "a")
        cut_off(transaction.connection.connection.driver_connection)
        with pytest.raises(Unavailable, match="rolled back"):
            transaction.commit(claim.hold, Succeed(), NONE_KEPT)
        assert (rows(engine), backend.counts("q").running) == ([], 1)


class Shop:
    """A queue on PostgreSQL, a worker, and a job that writes its word and ends as it is told."""

    def __init__(self, backend: PostgresBackend) -> None:
        self.told = Told()
        self.queue: Queue[None] = Queue("q", backend)
        self.worker = Worker(self.queue, monitor=False, on_event=self.told)

    def became(self) -> tuple[dict[str, int], list[Kind]]:
        """Run what there is; gives the states that there are, and what was told but that jobs began or went back."""
        self.worker.run(until_empty=True)
        passing = {Kind.STARTED, Kind.RETURNED}
        return states(self.queue), [event.kind for event in self.told if event.kind not in passing]


class TestWorker:
    def test_a_job_that_is_tried_again_writes_once(self, backend: PostgresBackend, engine: Engine) -> None:
        shop = Shop(backend)

        @shop.queue.job(context=True, on_exception=ExceptionBehavior.RETRY, backoff=LinearBackoff(0))
        def work(context: JobContext[None]) -> None:
            write(context.transaction(), f"{context.attempt}")
            if context.attempt < 3:
                raise ValueError

        work.enqueue()
        assert shop.became() == ({}, [Kind.RETRIED, Kind.RETRIED, Kind.SUCCEEDED])
        assert rows(engine) == ["3"]

    def test_a_statement_does_not_outlast_the_timeout(self, backend: PostgresBackend, engine: Engine) -> None:
        """The thread waits in libpq, where no exception can be raised: the server ends the statement."""
        shop = Shop(backend)

        @shop.queue.job(context=True, timeout=0.1, max_attempts=1)
        def work(context: JobContext[None]) -> None:
            write(context.transaction(), "a")
            context.transaction().exec_driver_sql("SELECT pg_sleep(600)")

        work.enqueue()
        assert shop.became() == ({"timed_out": 1}, [Kind.TIMED_OUT])
        assert rows(engine) == []

    def test_many_at_once_write_once_each(self, backend: PostgresBackend, engine: Engine) -> None:
        shop = Shop(backend)

        @shop.queue.job(context=True)
        def work(context: JobContext[None], word: str) -> None:
            write(context.transaction(), word)

        @shop.queue.job
        def plain() -> None: ...

        words = sorted(f"{n}" for n in range(100))
        shop.queue.enqueue_many([*(work.job(word) for word in words), *(plain.job() for _ in words)])
        assert shop.became() == ({}, [Kind.SUCCEEDED] * 200)
        assert rows(engine) == words

    def test_a_lost_answer_is_told_as_what_it_was(self, backend: PostgresBackend, engine: Engine, cut: Cut) -> None:
        shop = Shop(backend)

        @shop.queue.job(context=True)
        def work(context: JobContext[None]) -> None:
            write(context.transaction(), "a")
            cut.instead = cut.after

        work.enqueue()
        assert shop.became() == ({}, [Kind.SUCCEEDED])
        assert rows(engine) == ["a"]
