"""Each finding on a SQLite file, made true. What needs another machine, user or a full disk is told, not had."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobcore.backend import Finding, Level, Push, State
from jobcore.backends.sqlite import SqliteBackend, diagnosis


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def backend(path: Path) -> Iterator[SqliteBackend]:
    """On a file with one job."""
    backend = SqliteBackend(path)
    backend.push("q", [Push("a", b"{}")])
    yield backend
    backend.close()


def told(backend: SqliteBackend, about: str) -> Finding:
    """The worst that is found about a topic."""
    found = [finding for finding in backend.diagnose() if finding.about == about]
    return max(found, key=lambda finding: finding.level.weight)


def mounted(kind: str, where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a table of mounts say that a folder is of that kind."""
    table = where / "mountinfo"
    table.write_text(f"22 1 8:1 / / rw - ext4 /dev/sda rw\n40 22 0:9 / {where} rw,noatime shared:1 - {kind} src rw\n")
    monkeypatch.setattr(diagnosis, "MOUNTS", table)


def test_a_sound_file_has_nothing_amiss(
    backend: SqliteBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted("ext4", tmp_path, monkeypatch)
    assert {finding.level for finding in backend.diagnose()} == {Level.OK}


def test_looking_makes_no_file(path: Path) -> None:
    backend = SqliteBackend(path)
    assert told(backend, "file").level is Level.NOTE
    assert backend.queues() == []
    assert backend.counts("q").ready == 0
    assert backend.peek("q", State.READY, 10).entries == []
    assert backend.wait(["q"], 0) == set()
    assert backend.unmade() == f"there is no file {path} yet"
    assert not path.exists()
    backend.push("q", [Push("a", b"{}")])
    assert backend.unmade() is None
    assert backend.queues() == ["q"]
    assert backend.wait(["q"], 0) == {"q"}
    backend.close()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    backend = SqliteBackend(tmp_path / "nowhere" / "jobs.db")
    assert told(backend, "folder").level is Level.DANGER
    backend.close()


@pytest.mark.parametrize(
    ("kind", "level"),
    [("nfs4", Level.DANGER), ("cifs", Level.DANGER), ("fuse.sshfs", Level.WARNING), ("tmpfs", Level.DANGER)],
)
def test_a_file_system_that_will_not_do(
    backend: SqliteBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, level: Level
) -> None:
    mounted(kind, tmp_path, monkeypatch)
    finding = told(backend, "file system")
    assert (finding.level, finding.found.partition(":")[0]) == (level, kind)


def test_the_innermost_mount_counts(backend: SqliteBackend, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted("nfs", path.parent, monkeypatch)
    with diagnosis.MOUNTS.open("a") as table:
        table.write(f"50 22 0:10 / {path.parent.parent} rw - cifs src rw\n")
    assert told(backend, "file system").found.startswith("nfs:")


def test_where_there_is_no_table_of_mounts_nothing_is_said_of_file_systems(
    backend: SqliteBackend, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "MOUNTS", path.parent / "nowhere")
    assert "file system" not in {finding.about for finding in backend.diagnose()}


def test_a_missing_write_ahead_log(backend: SqliteBackend, path: Path) -> None:
    backend.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    db.close()
    again = SqliteBackend(path)
    assert told(again, "write-ahead log").found == "another program has switched it off"
    again.close()


def test_a_write_ahead_log_that_nobody_empties(
    backend: SqliteBackend, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "_LONG_LOG", 100_000)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM jobcore_jobs").fetchone()
    backend.push("q", [Push(f"{n}", bytes(1000)) for n in range(200)])
    assert told(backend, "write-ahead log").level is Level.WARNING
    reader.close()


def test_less_durability(path: Path) -> None:
    backend = SqliteBackend(path, synchronous="NORMAL")
    assert told(backend, "durability").level is Level.WARNING
    backend.close()


@pytest.mark.parametrize(("quick", "level"), [(diagnosis._QUICK, Level.DANGER), (100_000, Level.OK)])
def test_a_damaged_file(
    backend: SqliteBackend, path: Path, monkeypatch: pytest.MonkeyPatch, quick: int, level: Level
) -> None:
    """One that would take long to read is not looked through."""
    monkeypatch.setattr(diagnosis, "_QUICK", quick)
    backend.push("q", [Push(f"{n}", bytes(2000)) for n in range(100)])
    backend.close()
    with path.open("r+b") as file:
        file.seek(-6000, os.SEEK_END)
        file.write(b"\xff" * 5000)
    again = SqliteBackend(path)
    assert told(again, "file").level is level
    again.close()


@pytest.mark.parametrize(("free", "level"), [(0, Level.DANGER), (50 << 20, Level.WARNING), (1 << 40, Level.OK)])
def test_a_disk_that_fills(backend: SqliteBackend, monkeypatch: pytest.MonkeyPatch, free: int, level: Level) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1 << 41, 1 << 41, free))
    assert told(backend, "disk").level is level


def test_a_file_that_another_user_owns(backend: SqliteBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    finding = told(backend, "rights")
    assert (finding.level, str(owner) in finding.found) == (Level.NOTE, True)


def test_a_file_that_may_not_be_written(backend: SqliteBackend, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda each, _: each != path)  # root, who may run this, may write anything
    finding = told(backend, "rights")
    assert (finding.level, str(path) in finding.remedy) == (Level.DANGER, True)


def test_what_a_verdict_tells_of_the_store(backend: SqliteBackend) -> None:
    assert backend.describe() == {"sqlite": sqlite3.sqlite_version}


def test_the_queues_that_there_are(backend: SqliteBackend) -> None:
    backend.push("other", [Push("a", b"{}")])
    backend.push("a.first", [Push("a", b"{}"), Push("b", b"{}")])
    assert backend.queues() == ["a.first", "other", "q"]
