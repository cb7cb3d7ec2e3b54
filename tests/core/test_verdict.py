"""What the conformance suite says of a driver, from what came of its tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from xml.etree import ElementTree as ET

import pytest

from jobcore.backend import Finding, Level, Refused
from jobcore.backends.memory import MemoryBackend
from jobcore.conformance.laws import all_laws, law_of
from jobcore.conformance.rendering import as_badge, as_json, as_markdown, as_text, status_of
from jobcore.conformance.subject import describe
from jobcore.conformance.suite import BackendSuite
from jobcore.conformance.verdict import Case, Run, Status, Verdict, judge
from jobcore.conformance.verdict import Finding as FindingOnLaw

pytest_plugins = ["pytester"]

DRIVER = """
import pytest
from jobcore.backends.memory import MemoryBackend, Store
from jobcore.conformance import BackendSuite, Harness
from jobcore.testing import ManualClock

class Mine(MemoryBackend):
    def describe(self):
        return {"server": "Shoebox 3"}

    def counts(self, queue):
        return {counts}

class MyHarness(Harness):
    def __init__(self):
        self.clock, self.store = ManualClock(), Store()

    def make(self):
        return Mine(self.clock, store=self.store)

class TestMine(BackendSuite):
    @pytest.fixture
    def harness(self):
        return MyHarness()

    def test_of_its_own(self):
        assert True
"""


def case(law: str, status: Status = Status.PASSED, **fields: object) -> Case:
    return Case(law, "test", status, 0.5, **fields)  # type: ignore[arg-type]  # a test's own fields


def all_but(*cases: Case) -> Verdict:
    """The verdict on a driver of which each law was tried and kept, but for `cases`."""
    others = [case(law) for law in all_laws() if law not in {one.law for one in cases}]
    return judge("mine", {"driver": "Mine 1.0"}, [*others, *cases])


def of(verdict: Verdict, name: str) -> FindingOnLaw:
    return next(finding for finding in verdict.findings if finding.law.name == name)


class TestLaws:
    def test_there_are_thirteen_in_their_order(self) -> None:
        assert [law.number for law in all_laws().values() if law.number] == [*range(1, 14)]

    def test_each_says_what_it_is(self) -> None:
        assert all(len(law.sentence.split()) > 3 and not law.sentence[0].isdigit() for law in all_laws().values())

    def test_each_test_of_the_suite_is_of_one(self) -> None:
        tests = [name for name in dir(BackendSuite) if name.startswith("test_")]
        assert {law_of(BackendSuite, test) for test in tests} == set(all_laws())

    def test_a_drivers_own_test_is_of_none(self) -> None:
        own = type("TestMine", (BackendSuite,), {"test_mine": None})
        assert law_of(own, "test_mine") is None
        assert law_of(None, "test_mine") is None


class TestJudging:
    @pytest.mark.parametrize("status", [Status.PASSED, Status.VARIANT, Status.MEASURED])
    def test_a_driver_passes_though_it_was_checked_in_another_way(self, status: Status) -> None:
        verdict = all_but(case("Law13Prompt"), case("Law13Prompt", status))
        assert (verdict.status, of(verdict, "Prompt").status) == (Status.PASSED, status)

    @pytest.mark.parametrize("status", [Status.FAILED, Status.INCOMPLETE])
    def test_one_test_decides(self, status: Status) -> None:
        verdict = all_but(case("Law4Fenced", status), case("Law4Fenced"), case("Law9Caps", Status.VARIANT))
        assert (verdict.status, of(verdict, "Fenced").status) == (status, status)

    def test_a_law_that_was_left_out_is_no_pass(self) -> None:
        assert judge("mine", {}, [case("Law4Fenced")]).status is Status.INCOMPLETE
        assert judge("mine", {}, []).status is Status.INCOMPLETE

    def test_of_laws_that_were_asked_for_only_those_count(self) -> None:
        asked = Run(asked=[4, 7])
        kept = judge("mine", {}, [case("Law4Fenced"), case("Law7Empty")], asked)
        assert (kept.status, [finding.law.number for finding in kept.findings]) == (Status.PASSED, [4, 7])
        assert judge("mine", {}, [case("Law4Fenced")], asked).status is Status.INCOMPLETE

    def test_sums_are_told(self) -> None:
        verdict = judge("mine", {}, [case("Law1Kept"), case("Histories", examples=7)])
        assert (verdict.examples, verdict.seconds) == (7, 1.0)


class TestRendering:
    BROKEN = all_but(case("Law4Fenced", Status.FAILED, message="a stale token settled"))

    def test_a_terminal_is_told_of_each_law(self) -> None:
        text = as_text(self.BROKEN)
        details = sum(law.number is None for law in all_laws().values())
        assert text.startswith(f"mine: FAILED, kept 12 of 13 laws and {details} of {details} details")
        assert "  4 Fenced            failed" in text
        assert "Mine 1.0" in text

    def test_what_was_asked_for_is_told(self) -> None:
        one, two = (
            judge("mine", {}, [case("Law4Fenced")], Run(asked=asked, command="again")) for asked in ([4], [4, 7])
        )
        assert as_text(one).startswith("mine: PASSED, kept 1 of 1 law asked for; 1 tests")
        assert as_text(two).startswith("mine: INCOMPLETE, kept 1 of 2 laws asked for; 1 tests")
        assert as_text(one).endswith("\nTo repeat this run:  again")
        assert "jobcore law 4: passed" in as_badge([one])
        assert "jobcore laws 4, 7: incomplete" in as_badge([two])

    def test_each_way_of_checking_is_told_once_with_its_laws(self) -> None:
        laws = ("Law1Kept", "Law8Bytes", "Listing")
        verdict = all_but(*(case(law, Status.VARIANT, note="nobody could look") for law in laws))
        assert "\n  how it was checked, by law\n    1, 8, Listing: nobody could look" in as_text(verdict)
        assert "\n* law 1, 8, Listing: nobody could look\n" in as_markdown([verdict])

    def test_markdown_tells_why(self) -> None:
        text = as_markdown([self.BROKEN])
        assert "| 4 | Fenced | failed | 1 | 0.5 s |" in text
        assert "**law 4, Fenced**, broken in `test`:\n\n```\na stale token settled\n```" in text

    def test_json_holds_all_of_it(self) -> None:
        document = json.loads(as_json([self.BROKEN, all_but()]))
        assert [one["status"] for one in document["verdicts"]] == ["failed", "passed"]
        assert document["status"] == "failed"
        assert document["verdicts"][0]["findings"][3]["failures"][0]["message"] == "a stale token settled"

    @pytest.mark.parametrize(
        ("verdicts", "status"),
        [([all_but()], "passed"), ([all_but(), BROKEN], "failed"), ([all_but(), judge("x", {}, [])], "incomplete")],
    )
    def test_a_badge_speaks_for_all(self, verdicts: Sequence[Verdict], status: str) -> None:
        assert status_of(verdicts) == status
        assert ET.fromstring(as_badge(verdicts)).attrib["aria-label"] == f"jobcore laws: {status}"  # noqa: S314 -- it is ours


class Diagnosing(MemoryBackend):
    def diagnose(self) -> list[Finding]:
        about = {"server": "Shoebox 3", "durability": "cardboard", "clock": "in time"}
        return [Finding(Level.OK, name, found) for name, found in about.items()]

    def queues(self) -> list[str]:
        return []


class Silent(Diagnosing):
    def diagnose(self) -> list[Finding]:
        raise Refused("you may not ask")


class TestSubject:
    def test_what_the_laws_stand_on_is_told_of_a_diagnosis(self) -> None:
        about = describe(Diagnosing())
        assert (about["server"], about["durability"], "clock" in about) == ("Shoebox 3", "cardboard", False)

    def test_a_driver_that_may_not_ask_is_tried_all_the_same(self) -> None:
        assert describe(Silent())["server"] == "not known: you may not ask"


class TestRun:
    """The plugin, in a run of a stranger's suite."""

    @pytest.mark.parametrize(
        ("counts", "law", "status", "code"),
        [("super().counts(queue)", 7, "passed", 0), ("type(super().counts(queue))(ready=1)", 10, "failed", 1)],
    )
    def test_a_suite_is_judged(self, pytester: pytest.Pytester, counts: str, law: int, status: str, code: int) -> None:
        pytester.makepyfile(test_mine=DRIVER.replace("{counts}", counts))
        result = pytester.runpytest_subprocess(
            "--import-mode=importlib",
            "--conformance-quick",
            f"--conformance-law={law}",
            "--verdict-json=v.json",
            "--verdict-markdown=v.md",
            "--verdict-badge=v.svg",
        )
        assert result.ret == code
        (verdict,) = json.loads((pytester.path / "v.json").read_bytes())["verdicts"]
        assert verdict["name"] == "test_mine.py::TestMine"
        assert verdict["subject"]["driver"] == "test_mine.Mine"
        assert verdict["subject"]["server"] == "Shoebox 3"
        assert [finding["law"]["number"] for finding in verdict["findings"] if finding["tests"]] == [law]
        assert [finding["status"] for finding in verdict["findings"]] == [status]
        assert f"--conformance-seed {verdict['run']['seed']}" in verdict["run"]["command"]
        assert (pytester.path / "v.md").read_text().startswith("## test_mine.py::TestMine")
        assert "</svg>" in (pytester.path / "v.svg").read_text()
        result.stdout.fnmatch_lines([f"*{law} *{status}*"])

    def test_a_run_is_repeated_by_its_seed(self, pytester: pytest.Pytester) -> None:
        noted = "(open('calls', 'a').write(f'{counts}\\n'), counts)[1]"
        pytester.makepyfile(
            test_mine=DRIVER.replace("return {counts}", f"counts = super().counts(queue); return {noted}")
        )
        run = [
            "--import-mode=importlib",
            "--conformance-quick",
            "-k=any_history or come_to_their_ends",
            "--verdict-json=v",
        ]

        def calls(*seed: str) -> str:
            assert pytester.runpytest_subprocess(*run, *seed).ret == 0
            return (pytester.path / "calls").read_text()

        first = calls()
        (verdict,) = json.loads((pytester.path / "v").read_bytes())["verdicts"]
        assert first.count("\n") > 100
        assert calls(f"--conformance-seed={verdict['run']['seed']}") == 2 * first

    def test_a_run_that_asks_for_nothing_is_left_alone(self, pytester: pytest.Pytester) -> None:
        pytester.makepyfile(test_mine=DRIVER.replace("{counts}", "super().counts(queue)"))
        result = pytester.runpytest_subprocess("--import-mode=importlib", "-k", "test_of_its_own")
        result.assert_outcomes(passed=1)
        result.stdout.no_fnmatch_line("*conformance*")
