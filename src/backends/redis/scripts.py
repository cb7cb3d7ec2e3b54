"""The Lua scripts, one a verb: their text, the keys that their headers declare, and how they are called."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

_KEYS: Final = re.compile(r"^-- KEYS (.*)$", re.MULTILINE)
_FUNCTION: Final = re.compile(r"^local function (\w+)", re.MULTILINE)


class Script(NamedTuple):
    """A verb's script.

    Attributes:
        text: what the server runs: names for the keys, what the verbs share, the verb.
        sha: the name under which the server keeps it.
        keys: the names of the keys that it may touch, in the order in which it takes them.
    """

    text: bytes
    sha: bytes
    keys: tuple[str, ...]


@cache
def script(verb: str) -> Script:
    """The script of a verb: `lua/VERB.lua` behind what it needs of `lua/common.lua`."""
    body = _read(verb)
    (header,) = _KEYS.findall(body)
    keys = tuple(header.split())
    text = f"local {', '.join(keys)} = unpack(KEYS)\n{_with_shared(body)}".encode()
    return Script(text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode(), keys)


def _with_shared(body: str) -> str:
    """A verb behind the paragraphs of `common.lua`, but for functions that nothing after them calls.

    Redis makes all functions of a script anew at each call, which costs more than many verbs do.
    """
    for paragraph in reversed(_read("common").split("\n\n")):
        function = _FUNCTION.search(paragraph)
        if function is None or re.search(rf"\b{function[1]}\(", body):
            body = f"{paragraph}\n\n{body}"
    return body


def _read(name: str) -> str:
    return (files(__package__) / "lua" / f"{name}.lua").read_text(encoding="utf-8")


class Request(NamedTuple):
    """The part of a script's call that is the same each time, packed as it goes over the wire.

    Attributes:
        parts: how many words it is.
        by_name: it, with the name of a script that the server should know.
        by_text: it, with the whole script.
    """

    parts: int
    by_name: bytes
    by_text: bytes


def request(verb: str, tag: str) -> Request:
    """What calls a verb's script on the keys under a tag."""
    text, sha, names = script(verb)
    keys = [f"{tag}:{name}".encode() for name in names]
    rest = packed([b"%d" % len(keys), *keys])
    return Request(len(keys) + 3, packed([b"EVALSHA", sha]) + rest, packed([b"EVAL", text]) + rest)


def packed(words: Iterable[bytes]) -> bytes:
    """Words of a command as they go over the wire."""
    return b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])


def command(*words: bytes) -> bytes:
    """A whole command as it goes over the wire."""
    return b"*%d\r\n" % len(words) + packed(words)
