"""What the suite says of a driver: of each law, whether it was kept, and of what that is known."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct, field

from jobcore.conformance.laws import Law, all_laws


class Status(StrEnum):
    """What became of a test, and of a law: the last of these that became of one of its tests.

    VARIANT: something that the driver does not offer was checked in another way. MEASURED: work was
    counted from outside, which does not see a server's own. INCOMPLETE: a test was not run, or none was.
    """

    PASSED = "passed"
    VARIANT = "variant"
    MEASURED = "measured"
    INCOMPLETE = "incomplete"
    FAILED = "failed"


class Case(Struct, frozen=True):
    """A test that was run.

    Attributes:
        law: the name of the law's class.
        test: the test's name, with its parameters.
        status: what became of it.
        seconds: how long it took, with what it had to set up.
        message: why it failed, in a few lines.
        note: how it was checked, where there are several ways.
        examples: how many histories it tried.
    """

    law: str
    test: str
    status: Status
    seconds: float
    message: str = ""
    note: str = ""
    examples: int = 0


class Finding(Struct, frozen=True):
    """What is said of one law.

    Attributes:
        tests: how many tests of it were run.
        seconds: how long they took.
        failures: those that failed.
        notes: how it was checked, where there are several ways, and for want of what.
    """

    law: Law
    status: Status
    tests: int
    seconds: float
    failures: list[Case]
    notes: list[str]


class Run(Struct, frozen=True):
    """What was run.

    Attributes:
        at: when it began, in ISO 8601 and UTC.
        asked: the numbers of the laws that it was asked to try; none: all laws and details.
        seed: what all that is random was drawn from.
        command: what repeats it, without passwords.
    """

    at: str = ""
    asked: list[int] = []
    seed: int = 0
    command: str = ""


class Verdict(Struct, frozen=True):
    """What is said of a driver.

    Attributes:
        name: what was tested: a URL without its password, or a suite's class.
        subject: names and versions of all that took part, by what they are.
        findings: one for each law, then one for each fixed detail; of those that were asked for.
        examples: how many random histories were tried.
        seconds: how long it took.
        run: what was run.
    """

    name: str
    subject: dict[str, str]
    findings: list[Finding]
    examples: int
    seconds: float
    run: Run = Run()
    status: Status = field(default=Status.INCOMPLETE)

    @property
    def judged(self) -> list[Finding]:
        """The findings on laws of which something was run."""
        return [finding for finding in self.findings if finding.tests]


def judge(name: str, subject: dict[str, str], cases: Sequence[Case], run: Run = Run()) -> Verdict:  # noqa: B008 -- frozen
    """The verdict that follows from the tests of a run."""
    asked = {key: law for key, law in all_laws().items() if not run.asked or law.number in run.asked}
    findings = [_find(law, [case for case in cases if case.law == key]) for key, law in asked.items()]
    return Verdict(
        name=name,
        subject=subject,
        findings=findings,
        examples=sum(case.examples for case in cases),
        seconds=sum(case.seconds for case in cases),
        run=run,
        status=_overall([finding.status for finding in findings]),
    )


def _find(law: Law, cases: Sequence[Case]) -> Finding:
    return Finding(
        law=law,
        status=_worst([case.status for case in cases]),
        tests=len(cases),
        seconds=sum(case.seconds for case in cases),
        failures=[case for case in cases if case.status is Status.FAILED],
        notes=[*dict.fromkeys(case.note for case in cases if case.note)],
    )


def _worst(statuses: Sequence[Status]) -> Status:
    return max(statuses, key=[*Status].index, default=Status.INCOMPLETE)


def _overall(statuses: Sequence[Status]) -> Status:
    """A driver has passed though laws were checked in another way, or measured; not if one was left out."""
    worst = _worst(statuses)
    return worst if worst in {Status.INCOMPLETE, Status.FAILED} else Status.PASSED
