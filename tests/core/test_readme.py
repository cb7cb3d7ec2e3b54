"""README says what is so: its code runs, its tables are those of the code, its links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from jobcore.backend import State

TOP = Path(__file__).resolve().parents[2]
README = (TOP / "README.md").read_text()
PAGES = [TOP / "README.md", TOP / "CHANGELOG.md", *sorted((TOP / "docs").glob("*.md"))]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 120


def test_its_first_code_runs_when_pasted(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", blocks("python")[0]],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "a.png is now 200 wide\n"), done.stderr


def test_all_its_code_runs() -> None:
    from jobcore import ExceptionBehavior, Job, Queue, Result, Retry, Success, Worker

    sent: list[str] = []

    class Mailer:
        def send(self, to: str, subject: str) -> bool:
            sent.append(f"{to}: {subject}")
            return True

    from dataclasses import dataclass

    names = {
        "dataclass": dataclass, "ExceptionBehavior": ExceptionBehavior, "Job": Job, "Mailer": Mailer, "Retry": Retry,
        "FakeMailer": Mailer, "Result": Result, "Success": Success, "Worker": Worker, "queue": Queue("mail"),
    }  # fmt: skip
    jobs, test = blocks("python")[1:3]
    exec(jobs.replace("queue.enqueue", "# queue.enqueue"), names)
    names["sign_up"] = lambda to: names["queue"].enqueue(names["SendEmail"](to, "Hello"))
    exec(test, names)
    names["test_sign_up"]()
    assert sent == ["a@b.c: Hello"]


def test_its_state_table_names_every_state() -> None:
    table = README.split("## States")[1].split("##")[0]
    assert all(state.name in table for state in State)


def anchors(page: Path) -> list[tuple[Path, str]]:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    return [(page, link) for link in links if not link.startswith("http")]


@pytest.mark.parametrize(("page", "link"), [pair for page in PAGES for pair in anchors(page)])
def test_links_lead_somewhere(page: Path, link: str) -> None:
    assert (page.parent / link).exists()


def test_tests_that_it_names_exist() -> None:
    rows = re.findall(r"\[`(test_\w+)`\]\(([^)]+)\)", README)
    assert rows
    for name, file in rows:
        assert f"def {name}(" in (TOP / file).read_text(), f"{file} has no {name}"
