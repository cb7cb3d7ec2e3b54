"""Details of transactions for jobs: their writes and their success are one. A write is a push to another queue."""

from __future__ import annotations

from jobcore.backend import Answer, Backend, Claim, Joins, Keep, Push, State, Succeed, Transaction, Transacts
from jobcore.conformance.client import ROOMY, Client
from jobcore.conformance.outages import Record, variant


class Transactions:
    """What a job writes in its transaction stands if, and only if, its success does, by its token.

    Without `Transacts`, or without the `Joins` by which the suite writes, jobs write once their success is settled,
    apart from it, and the verdict is `variant`.
    """

    def test_what_was_written_stands_with_the_success(self, one: Client, record_property: Record) -> None:
        claim, work = one.take("a"), begin(one, record_property)
        work.write("row")
        assert (rows(one), one.ids(State.RUNNING)) == ([], ["a"])
        assert work.commit(claim) is Answer.DONE
        assert (rows(one), one.ids(State.SUCCEEDED)) == (["row"], ["a"])

    def test_a_stale_token_writes_nothing(self, one: Client, two: Client, record_property: Record) -> None:
        old, stale = one.take("a"), begin(one, record_property)
        stale.write("stale")
        one.elapse(10)
        (new,) = two.reclaim()
        assert stale.commit(old) is Answer.LOST
        assert (rows(one), one.ids(State.RUNNING)) == ([], ["a"])
        fresh = begin(two, record_property)
        fresh.write("fresh")
        assert fresh.commit(new) is Answer.DONE
        assert rows(one) == ["fresh"]

    def test_a_lease_that_ran_out_but_was_not_taken_over_is_current(self, one: Client, record_property: Record) -> None:
        claim, work = one.take("a"), begin(one, record_property)
        work.write("row")
        one.elapse(20)
        assert work.commit(claim) is Answer.DONE
        assert rows(one) == ["row"]

    def test_of_two_with_one_token_one_stands(self, one: Client, two: Client, record_property: Record) -> None:
        claim = one.take("a")
        works = [begin(client, record_property) for client in (one, two)]
        for number, work in enumerate(works):
            work.write(f"{number}")
        assert [work.commit(claim) for work in works] == [Answer.DONE, Answer.LOST]
        assert rows(one) == ["0"]

    def test_a_rollback_undoes_and_leaves_the_job(self, one: Client, record_property: Record) -> None:
        claim, work = one.take("a"), begin(one, record_property)
        work.write("row")
        work.rollback()
        assert (rows(one), one.ids(State.RUNNING)) == ([], ["a"])
        assert one.settle(Succeed(), claim) == [Answer.DONE]

    def test_the_cap_is_kept(self, one: Client, record_property: Record) -> None:
        for id in "abc":
            assert begin(one, record_property).commit(one.take(id), Keep(succeeded=2)) is Answer.DONE
        assert one.ids(State.SUCCEEDED) == ["c", "b"]

    def test_an_open_one_holds_up_nobody(self, one: Client, two: Client, record_property: Record) -> None:
        claim, work = one.take("a"), begin(one, record_property)
        work.write("row")
        assert one.extend(claim.hold) == [Answer.HELD]
        assert two.settle(Succeed(), two.take("b")) == [Answer.DONE]
        assert work.commit(claim) is Answer.DONE


class Work:
    """What a job writes, where it has no transaction: it writes once its success is settled."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._rows: list[Push] = []

    def write(self, row: str) -> None:
        """Write a row."""
        self._rows.append(Push(row, b"{}"))

    def commit(self, claim: Claim, keep: Keep = ROOMY) -> Answer:
        """End with a success."""
        (answer,) = self._backend.settle("q", [(claim.hold, Succeed())], keep)
        if answer is Answer.DONE:
            self._backend.push("rows", self._rows)
        return answer

    def rollback(self) -> None:
        """End without."""


class InTransaction(Work):
    """What a job writes in its transaction."""

    def __init__(self, backend: Backend, joins: Joins, transaction: Transaction) -> None:
        super().__init__(backend)
        self._joins = joins
        self._transaction = transaction

    def write(self, row: str) -> None:
        """Write a row."""
        self._joins.join(self._transaction.connection, "rows", [Push(row, b"{}")])

    def commit(self, claim: Claim, keep: Keep = ROOMY) -> Answer:
        """End with a success."""
        return self._transaction.commit(claim.hold, Succeed(), keep)

    def rollback(self) -> None:
        """End without."""
        self._transaction.rollback()


def begin(client: Client, record_property: Record) -> Work:
    """Begin what a job does."""
    backend = client.backend
    if isinstance(backend, Transacts) and isinstance(backend, Joins):
        return InTransaction(backend, backend, backend.transact("q"))
    variant(record_property, "jobs wrote once they were settled, and apart from that")
    return Work(backend)


def rows(client: Client) -> list[str]:
    """What has been written."""
    return client.ids(State.READY, "rows")
