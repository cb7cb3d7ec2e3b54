"""The checker of `prove`: each verdict on the shortest history that deserves it, and on its lawful neighbour."""

from __future__ import annotations

from typing import Any

from jobcore.backend import Answer
from jobcore.prove.checker import (
    Duplicate,
    Extension,
    History,
    Pushing,
    Reason,
    Settlement,
    Start,
    Taking,
    Verdict,
    check,
)

LEASE = 1000


class Tale:
    """A history, told in its order: a call is sent a µs after the last was answered, and answered a µs later."""

    def __init__(self) -> None:
        self.now = 0
        self.told: dict[str, list[Any]] = {
            "pushes": [], "takings": [], "extensions": [], "starts": [], "settlements": [],
        }  # fmt: skip

    def _tell(self, kind: str, value: Any) -> Tale:
        self.told[kind].append(value)
        return self

    def _send(self) -> int:
        self.now += 2
        return self.now - 1

    def wait(self, time: int) -> Tale:
        self.now += time
        return self

    def push(self, *, answer: bool = True, remembered: bool = False, id: str = "a") -> Tale:
        return self._tell("pushes", Pushing(id, answer, remembered))

    def take(self, fence: int, *, lost: int = 0) -> Tale:
        sent = self._send()
        return self._tell("takings", Taking("a", fence, self.now, sent + LEASE, lost))

    def run(self, fence: int, *, lost: int = 0) -> Tale:
        return self.take(fence, lost=lost).start(fence)

    def start(self, fence: int) -> Tale:
        return self._tell("starts", Start("a", fence))

    def extend(self, fence: int) -> Tale:
        sent = self._send()
        return self._tell("extensions", Extension("a", fence, sent, sent + LEASE))

    def settle(self, fence: int, answer: Answer | None = Answer.DONE, *, ends: bool = True) -> Tale:
        return self._tell("settlements", Settlement("a", fence, self._send(), ends, answer))

    def retry(self, fence: int, answer: Answer | None = Answer.DONE) -> Tale:
        return self.settle(fence, answer, ends=False)

    def check(self, *remaining: str) -> Verdict:
        return check(History(remaining=frozenset(remaining), **self.told))

    def reasons(self) -> list[Reason | None]:
        return [duplicate.reason for duplicate in self.check().duplicates]


def pushed() -> Tale:
    return Tale().push()


def test_a_job_that_was_pushed_run_and_settled_is_sound() -> None:
    verdict = pushed().run(1).settle(1).check()
    assert verdict == Verdict(1, 1, 1, 1, [], [], [], [], [], 0)
    assert verdict.sound


def test_nothing_at_all_is_sound() -> None:
    assert check(History()).sound


def test_acknowledged_and_nowhere_is_lost() -> None:
    verdict = pushed().check()
    assert (verdict.lost, verdict.sound) == (["a"], False)


def test_what_ran_and_vanished_unsettled_is_lost() -> None:
    assert pushed().run(1).check().lost == ["a"]
    assert pushed().run(1).retry(1).check().lost == ["a"]
    assert pushed().run(1).settle(1, Answer.LOST).check().lost == ["a"]


def test_what_is_still_there_is_not_lost() -> None:
    assert pushed().run(1).check("a").sound


def test_what_may_have_been_settled_is_not_lost() -> None:
    assert pushed().run(1).settle(1, None).check().sound


def test_what_was_never_acknowledged_may_be_gone() -> None:
    verdict = Tale().push(answer=False).check()
    assert (verdict.attempted, verdict.acknowledged, verdict.sound) == (1, 0, True)


def test_what_was_never_acknowledged_and_ran_is_recovered() -> None:
    verdict = Tale().push(answer=False).run(1).settle(1).check()
    assert (verdict.recovered, verdict.sound) == (["a"], True)
    assert Tale().push(answer=False).push().run(1).settle(1).check().recovered == []


def test_what_nobody_pushed_is_unexpected_whether_it_ran_or_lies_there() -> None:
    assert Tale().run(1).settle(1).check().unexpected == ["a"]
    verdict = Tale().check("b")
    assert (verdict.unexpected, verdict.sound) == (["b"], False)


def test_a_run_that_was_asked_for_is_no_duplicate() -> None:
    verdict = pushed().run(1).retry(1).run(2).settle(2).check()
    assert (verdict.duplicates, verdict.run, verdict.runs) == ([], 1, 2)


def test_a_run_after_a_run_without_a_reason_is_unexplained() -> None:
    verdict = pushed().run(1).run(2).settle(2).check()
    assert verdict.duplicates == verdict.unexplained == [Duplicate("a", 1, 2, None)]
    assert not verdict.sound


def test_the_same_token_never_runs_twice() -> None:
    assert pushed().run(1).start(1).settle(1).reasons() == [None]
    assert pushed().run(1).start(1).retry(1).run(2).settle(2).reasons() == [None]


def test_a_lease_that_had_ended_explains_a_run() -> None:
    tale = pushed().run(1).wait(LEASE).take(2, lost=1).retry(2).run(3, lost=1).settle(3)
    assert tale.reasons() == [Reason.LEASE_ENDED]
    assert tale.check().sound


def test_a_takeover_that_only_its_count_tells_of_explains_a_run() -> None:
    """Whoever took it over may have died before it could say so."""
    assert pushed().run(1).wait(LEASE).run(3, lost=1).settle(3).reasons() == [Reason.LEASE_ENDED]


def test_a_lease_that_was_over_too_early_explains_nothing() -> None:
    tale = pushed().run(1).wait(LEASE // 2).take(2, lost=1).retry(2).wait(LEASE).run(3, lost=1).settle(3)
    assert tale.reasons() == [None]


def test_a_lease_that_was_extended_is_over_later() -> None:
    tale = pushed().run(1).wait(LEASE // 2).extend(1).wait(LEASE * 3 // 4)
    assert tale.take(2, lost=1).retry(2).run(3, lost=1).settle(3).reasons() == [None]


def test_each_run_needs_an_ended_lease_of_its_own() -> None:
    tale = pushed().run(1).wait(LEASE).run(3, lost=1).run(4, lost=1).settle(4)
    assert tale.reasons() == [Reason.LEASE_ENDED, None]


def test_a_job_that_had_ended_does_not_run_again_for_an_ended_lease() -> None:
    assert pushed().run(1).settle(1).wait(LEASE).run(2, lost=1).settle(2).reasons() == [None]
    assert pushed().run(1).wait(LEASE).take(2, lost=1).settle(2).run(3, lost=1).settle(3).reasons() == [None]


def test_a_lost_answer_to_a_retry_explains_a_run() -> None:
    assert pushed().run(1).retry(1, None).run(2).settle(2).reasons() == [Reason.SETTLEMENT_UNANSWERED]
    assert pushed().run(1).settle(1, None).run(2).settle(2).reasons() == [None]


def test_a_lost_answer_to_a_push_explains_that_a_job_came_again_if_it_was_pushed_again() -> None:
    again = Tale().push(answer=False).push().run(1).settle(1).run(2).settle(2)
    assert again.reasons() == [Reason.PUSH_UNANSWERED]
    assert Tale().push(answer=False).run(1).settle(1).run(2).settle(2).reasons() == [None]
    remembered = Tale().push(answer=False, remembered=True).push(remembered=True)
    assert remembered.run(1).settle(1).run(2).settle(2).reasons() == [None]


def test_a_job_that_came_again_may_have_been_settled_without_an_answer() -> None:
    again = Tale().push(answer=False).push().run(1).settle(1, None).run(2).settle(2)
    assert again.reasons() == [Reason.PUSH_UNANSWERED]


def test_a_settlement_that_came_after_another_claim_must_be_refused() -> None:
    tale = pushed().run(1).wait(LEASE).run(3, lost=1)
    assert tale.settle(1, Answer.LOST).settle(3).check().refused == 1
    accepted = pushed().run(1).wait(LEASE).run(3, lost=1).settle(1).check("a")
    assert (accepted.stale, accepted.sound) == ([("a", 1)], False)


def test_a_settlement_that_was_sent_before_another_claim_was_answered_may_be_accepted() -> None:
    tale = pushed().run(1).retry(1)
    tale._tell("takings", Taking("a", 2, answered=tale.now, until=LEASE)).start(2)
    assert tale.settle(2).check().sound


def test_an_extension_that_came_after_another_claim_must_be_refused() -> None:
    accepted = pushed().run(1).wait(LEASE).run(3, lost=1).extend(1).settle(3).check()
    assert accepted.stale == [("a", 1)]


def test_a_token_is_settled_once() -> None:
    assert pushed().run(1).settle(1).settle(1).check().stale == [("a", 1)]
    assert pushed().run(1).settle(1, None).settle(1).check().sound


def test_jobs_are_told_apart() -> None:
    verdict = pushed().push(id="b").push(id="c").run(1).settle(1).check("c")
    assert (verdict.lost, verdict.attempted) == (["b"], 3)
