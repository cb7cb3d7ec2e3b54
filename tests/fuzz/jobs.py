"""Jobs of every kind that can be registered, on a queue whose stored bytes are made up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pydantic

from jobcore import Job, Queue


class Circle(msgspec.Struct, tag=True, frozen=True):
    radius: float


class Square(msgspec.Struct, tag=True, frozen=True):
    side: float
    colour: Literal["red", "blue"] = "red"


@dataclass(frozen=True)
class Tree:
    value: int
    left: Tree | None = None
    right: Tree | None = None


@dataclass(frozen=True)
class Mail(Job):
    to: Annotated[str, msgspec.Meta(max_length=100)]
    at: datetime
    cost: Decimal
    tags: frozenset[str] = frozenset()
    more: dict[str, int] | None = None

    def run(self) -> None: ...


class Shape(msgspec.Struct, Job, frozen=True):
    shape: Circle | Square
    key: UUID | None = None

    def run(self) -> None: ...


class Model(pydantic.BaseModel, Job):
    size: int
    raw: bytes = b""
    pair: tuple[int, str] = (0, "")

    def run(self) -> None: ...


@dataclass(frozen=True)
class Older(Job):
    to: str

    @classmethod
    def upgrade(cls, args: dict[str, Any]) -> dict[str, Any]:
        return {"to": args["address"]}

    def run(self) -> None: ...


def queue_of(backend: Any) -> Queue[None]:
    """A queue that knows them, on a store."""
    queue: Queue[None] = Queue("fuzz", backend)
    for name, cls in {"mail": Mail, "shape": Shape, "model": Model, "older": Older}.items():
        queue.job(name=name)(cls)

    @queue.job
    def add(number: int) -> None: ...

    @queue.job
    def tree(value: int, left: Tree | None = None, right: Tree | None = None) -> None: ...

    return queue
