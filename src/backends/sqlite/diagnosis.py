"""What a database file keeps, may lose, and lacks: read from the file, its folder and its disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from jobcore.backend import Finding, Level
from jobcore.backends.sqlite.file import File

MOUNTS: Final = Path("/proc/self/mountinfo")
"""Linux's table of what is mounted where, see proc(5). Elsewhere nothing is said of file systems."""

_FAR: Final = {"9p", "afs", "ceph", "cifs", "glusterfs", "lustre", "nfs", "nfs4", "smb2", "smb3", "smbfs", "virtiofs"}
"""File systems that other machines write as well; those of `fuse.` may be."""

_MIB: Final = 1 << 20
_LITTLE_SPACE: Final = 100 * _MIB
_LONG_LOG: Final = 256 * _MIB
_QUICK: Final = 64 * _MIB
"""Bytes of a file that is read whole to see that it is sound."""

_JOURNAL: Final = slice(18, 20)
"""Where the header says how changes are logged: see "The SQLite Database File Format"."""


def findings(file: File) -> Iterator[Finding]:
    """What follows from how a file is. Makes none, and writes nothing."""
    path = file.path
    if path.exists():
        yield Finding(Level.OK, "file", f"{path}, {path.stat().st_size / _MIB:.1f} MiB")
        yield from _log(path)
        yield from _soundness(file)
    else:
        yield Finding(Level.NOTE, "file", f"{path} is not there yet", "the first push makes it: is the path right?")
    yield from _durability(file.synchronous)
    yield from _rights(path)
    yield from _file_system(path.parent)
    yield from _space(path.parent)


def _log(path: Path) -> Iterator[Finding]:
    with path.open("rb") as opened:
        header = opened.read(100)
    if header and header[_JOURNAL] != b"\2\2":
        yield Finding(
            Level.WARNING,
            "write-ahead log",
            "another program has switched it off",
            "readers and writers wait for each other until a worker or producer connects and switches it on",
            "PRAGMA journal_mode = WAL; and leave it so",
        )
    log = path.with_name(path.name + "-wal")
    size = log.stat().st_size if log.exists() else 0
    if size > _LONG_LOG:
        yield Finding(
            Level.WARNING,
            "write-ahead log",
            f"it has {size / _MIB:,.0f} MiB",
            "a reader that stays open keeps it from being emptied; it grows, and all reading slows",
            "end long transactions of other programs, then PRAGMA wal_checkpoint(TRUNCATE)",
        )


def _soundness(file: File) -> Iterator[Finding]:
    if file.path.stat().st_size > _QUICK:
        return
    (said,) = file.read(lambda db: db.execute("PRAGMA quick_check(1)").fetchone())
    if said != "ok":
        yield Finding(
            Level.DANGER,
            "file",
            f"it is damaged: {said}",
            "jobs may be lost already, and more will be",
            f"stop all programs, then: sqlite3 {file.path} .recover | sqlite3 mended.db",
        )


def _durability(synchronous: str) -> Iterator[Finding]:
    if synchronous == "FULL":
        yield Finding(Level.OK, "durability", "what is acknowledged is on disk (synchronous=FULL)")
    else:
        yield Finding(
            Level.WARNING,
            "durability",
            f"synchronous={synchronous}",
            "a power cut or a crash of the system undoes the last moments of acknowledged jobs",
            "leave ?synchronous out of the URL",
        )


def _rights(path: Path) -> Iterator[Finding]:
    there = [each for each in (path.parent, path, *_beside(path)) if each.exists()]
    refused = [str(each) for each in there if not os.access(each, os.R_OK | os.W_OK)]
    owners = {each.stat().st_uid for each in there[1:]} - {os.geteuid()}
    if refused:
        yield Finding(
            Level.DANGER,
            "rights",
            f"this user may not write {', '.join(refused)}",
            "every push, claim and settlement is refused: a file's folder must be writable too",
            f"chown or chmod {' '.join(refused)}",
        )
    elif owners:
        yield Finding(
            Level.NOTE,
            "rights",
            f"another user owns the file (uid {', '.join(map(str, sorted(owners)))})",
            "what this user makes beside it, the log among it, that user may not be able to write",
            "run all programs as one user, or as a group with umask 002",
        )
    else:
        yield Finding(Level.OK, "rights", "this user may write the file and its folder")


def _beside(path: Path) -> Iterator[Path]:
    return (path.with_name(path.name + ending) for ending in ("-wal", "-shm"))


def _file_system(folder: Path) -> Iterator[Finding]:
    kind = _kind_of(folder.resolve())
    if kind in _FAR:
        yield Finding(
            Level.DANGER,
            "file system",
            f"{kind}: it is reached through a network",
            "its locks don't hold between machines: the file will be damaged, and jobs run twice at once or are lost",
            "put the file on a local disk, or use PostgreSQL or Redis",
        )
    elif kind and kind.startswith("fuse"):
        yield Finding(
            Level.WARNING,
            "file system",
            f"{kind}: it may be reached through a network",
            "if it is, the file will be damaged by and by",
            "put the file on a local disk",
        )
    elif kind in {"tmpfs", "ramfs"}:
        yield Finding(
            Level.DANGER,
            "file system",
            f"{kind}: it is in memory",
            "a restart of the machine loses every job",
            "put the file on a disk",
        )


def _kind_of(folder: Path) -> str | None:
    """The kind of the file system that a folder is in: that of the innermost mount; of two there, the later."""
    if not MOUNTS.exists():
        return None
    kinds: dict[str, str] = {}
    for line in MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines():
        front, _, back = line.partition(" - ")
        kinds[front.split()[4].replace("\\040", " ")] = back.split()[0]
    return next((kinds[str(each)] for each in (folder, *folder.parents) if str(each) in kinds), None)


def _space(folder: Path) -> Iterator[Finding]:
    if not folder.exists():
        yield Finding(
            Level.DANGER,
            "folder",
            f"there is no {folder}",
            "no file can be made: every push fails",
            f"mkdir -p {folder}",
        )
        return
    free = shutil.disk_usage(folder).free
    if free < _LITTLE_SPACE:
        yield Finding(
            Level.DANGER if free < _MIB else Level.WARNING,
            "disk",
            f"{free / _MIB:,.1f} MiB are free",
            "once it is full, pushes are refused; claims and settlements go on for a while",
            "free space, or move the file",
        )
    else:
        yield Finding(Level.OK, "disk", f"{free / _MIB:,.0f} MiB are free")
