"""Inputs: payloads and URLs that are nearly right. A seed and a number make each, so that any can be had again.

The ways of changing bytes are those of AFL's havoc stage (M. Zalewski, "Technical whitepaper for afl-fuzz").
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

LONGEST: Final = 1 << 16
_DEEPEST: Final = 100_000
_RARE: Final = 1 / 2000

PAYLOADS: Final = (
    b'{"job":"mail","args":{"to":"a@b.c","at":"2024-02-29T12:00:00Z","cost":"1.50","tags":["a","b"],"more":{"x":1}}}',
    b'{"job":"shape","args":{"shape":{"type":"Circle","radius":1.5},"key":"9b2e7e26-6d1c-4ad5-9f6c-1f1b7b3b7d10"}}',
    b'{"job":"shape","args":{"shape":{"type":"Square","side":-2e-3,"colour":"red"},"key":null}}',
    b'{"job":"tree","args":{"value":1,"left":{"value":2,"left":null,"right":null},"right":null}}',
    b'{"job":"model","args":{"size":3,"raw":"aGVsbG8=","pair":[1,"x"]}}',
    b'{"job":"older","args":{"address":"a@b.c"}}',
    b'{"job":"add","args":{"number":9223372036854775807}}',
    b'{"job":"nobody","args":{}}',
    b'{"args":{},"job":"add"}',
    b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x01x\x94.",
)

URLS: Final = (
    b"redis://user:hunter2@h:6379/0?prefix=a&timeout=3&db=1&client_name=c",
    b"rediss://:hunter2@h?ssl_cert_reqs=none&ssl_check_hostname=no&ssl_ciphers=ALL",
    b"redis+cluster://user:hunter2@h?tls=yes",
    b"unix://user:hunter2@/tmp/redis.sock?db=2",
    b"postgresql://user:hunter2@h:5432/db?schema=a&timeout=3&notify=off&prepare=off&sslmode=verify-full",
)

_TOKENS: Final = (
    b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"\\u0000", b"\\ud800", b"\\ud83d\\ude00", b"null", b"true", b"-",
    b"1e999", b"-0", b"0.1", b"1E+", b"18446744073709551616", b"NaN", b"Infinity", b'"args":', b'"job":', b'"type":',
    b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\x00", b"\n",
    b"9999-12-31T24:00:00Z", b"@", b"/", b"?", b"#", b"%", b"&", b"=", b"%00", b"%zz", b"://",
)  # fmt: skip


def made(corpus: Sequence[bytes], seed: int, number: int) -> bytes:
    """Input `number` of a seed: one of a corpus, changed in some places, at most LONGEST bytes unless it is deep."""
    random = Random(seed << 40 | number)
    if random.random() < _RARE:
        return _deep(corpus, random)
    data = random.choice(corpus)
    for _ in range(1 << random.randrange(4)):
        data = random.choice(_CHANGES)(data, random)
    return data[:LONGEST]


def _deep(corpus: Sequence[bytes], random: Random) -> bytes:
    """One of the corpus with something in it nested, or repeated, beyond all bounds."""
    data, token = random.choice(corpus), random.choice(_TOKENS)
    at = random.randrange(len(data))
    return data[:at] + token * random.randrange(_DEEPEST) + data[at:]


def _place(data: bytes, random: Random) -> int:
    return random.randrange(len(data) + 1)


def _part(data: bytes, random: Random) -> tuple[int, int]:
    begin = _place(data, random)
    return begin, min(len(data), begin + random.randrange(1, 17))


def _flip(data: bytes, random: Random) -> bytes:
    at = _place(data, random)
    return data[:at] + bytes(byte ^ 1 << random.randrange(8) for byte in data[at : at + 1]) + data[at + 1 :]


def _overwrite(data: bytes, random: Random) -> bytes:
    begin, end = _part(data, random)
    return data[:begin] + random.randbytes(end - begin) + data[end:]


def _insert(data: bytes, random: Random) -> bytes:
    at = _place(data, random)
    return data[:at] + random.choice(_TOKENS) + data[at:]


def _replace(data: bytes, random: Random) -> bytes:
    begin, end = _part(data, random)
    return data[:begin] + random.choice(_TOKENS) + data[end:]


def _delete(data: bytes, random: Random) -> bytes:
    begin, end = _part(data, random)
    return data[:begin] + data[end:]


def _repeat(data: bytes, random: Random) -> bytes:
    begin, end = _part(data, random)
    return data[:begin] + data[begin:end] * random.randrange(2, 9) + data[end:]


def _cross(data: bytes, random: Random) -> bytes:
    other = random.choice(PAYLOADS)
    return data[: _place(data, random)] + other[_place(other, random) :]


_CHANGES: Final = (_flip, _overwrite, _insert, _insert, _replace, _delete, _repeat, _cross)
