"""The wire format: what is stored comes back equal, and what is no job is told so, never raised as anything else."""

import enum
import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Generic, Literal, NamedTuple, TypedDict, TypeVar
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobcore import Job
from jobcore.codec import JobType, Registry, Undecodable
from jobcore.errors import InvalidArgument, UnknownJob


class Runs(Job[object]):
    def run(self) -> None:
        """Do nothing: here jobs are only stored."""


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


@dataclass(frozen=True)
class Point:
    x: int
    y: float = 0.0


@attrs.frozen
class Pair:
    left: Point
    right: Point | None = None


class Circle(msgspec.Struct, tag=True, frozen=True):
    radius: float


class Square(msgspec.Struct, tag=True, frozen=True):
    side: Decimal


class Row(NamedTuple):
    key: str
    total: int = 0


class Options(TypedDict, total=False):
    depth: int


class Address(pydantic.BaseModel):
    street: str
    since: date


T = TypeVar("T")


@dataclass
class Box(Generic[T]):
    content: T


@dataclass
class Tree:
    value: int
    children: "list[Tree]" = field(default_factory=list)


@dataclass
class Everything(Runs):
    """A field of each type that is promised to survive."""

    flag: bool
    number: int
    ratio: float
    text: str
    blob: bytes
    at: datetime
    day: date
    clock: time
    span: timedelta
    uuid: UUID
    price: Decimal
    colour: Colour
    size: Size
    mode: Literal["fast", "slow", 3]
    maybe: int | None
    numbers: list[int]
    pair: tuple[int, str]
    many: tuple[Point, ...]
    unique: set[int]
    frozen: frozenset[str]
    by_name: dict[str, Point]
    by_number: dict[int, list[date]]
    by_uuid: dict[UUID, Decimal]
    point: Point
    attrs_pair: Pair
    shape: Circle | Square | None
    shapes: list[Circle | Square]
    row: Row
    options: Options
    address: Address
    addresses: list[Address]
    box: Box[Point]
    tree: Tree
    anything: Any


finite = st.floats(allow_nan=False, allow_infinity=False)
whole = st.integers(-(2**63), 2**64 - 1)
zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
decimals = st.decimals(allow_nan=False, allow_infinity=False)
points = st.builds(Point, whole, finite)
pairs = st.builds(Pair, points, st.none() | points)
shapes = st.builds(Circle, finite) | st.builds(Square, decimals)
addresses = st.builds(Address, street=st.text(), since=st.dates())
trees = st.recursive(
    st.builds(Tree, whole), lambda inner: st.builds(Tree, whole, st.lists(inner, max_size=3)), max_leaves=5
)
plain = st.recursive(
    st.none() | st.booleans() | whole | finite | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
few: dict[str, Any] = {"max_size": 3}
everything = st.builds(
    Everything,
    flag=st.booleans(),
    number=whole,
    ratio=finite,
    text=st.text(),
    blob=st.binary(),
    at=st.datetimes() | st.datetimes(timezones=zones),
    day=st.dates(),
    clock=st.times(),
    span=st.timedeltas(timedelta(days=-(10**6)), timedelta(days=10**6)),
    uuid=st.uuids(),
    price=decimals,
    colour=st.sampled_from(Colour),
    size=st.sampled_from(Size),
    mode=st.sampled_from(["fast", "slow", 3]),
    maybe=st.none() | whole,
    numbers=st.lists(whole, **few),
    pair=st.tuples(whole, st.text()),
    many=st.lists(points, **few).map(tuple),
    unique=st.sets(whole, **few),
    frozen=st.frozensets(st.text(), **few),
    by_name=st.dictionaries(st.text(), points, **few),
    by_number=st.dictionaries(whole, st.lists(st.dates(), **few), **few),
    by_uuid=st.dictionaries(st.uuids(), decimals, **few),
    point=points,
    attrs_pair=pairs,
    shape=st.none() | shapes,
    shapes=st.lists(shapes, **few),
    row=st.builds(Row, st.text(), whole),
    options=st.just({}) | st.fixed_dictionaries({"depth": whole}),
    address=addresses,
    addresses=st.lists(addresses, **few),
    box=st.builds(Box, points),
    tree=trees,
    anything=plain,
)

registry = Registry("q")
registry.add(Everything)


@settings(max_examples=200, deadline=None)
@given(everything)
def test_each_promised_type_survives_the_round_trip(job: Everything) -> None:
    job_type, args = registry.open(registry.type_of(job).encode(job))
    assert job_type.decode(args) == job


@dataclass
class Email(Runs):
    to: str
    copies: int = 1


class EmailStruct(msgspec.Struct, Runs):
    to: str
    copies: int = 1


@attrs.define
class EmailAttrs(Runs):
    to: str
    copies: int = 1


class EmailModel(pydantic.BaseModel, Runs):
    to: str
    copies: int = 1


KINDS = [Email, EmailStruct, EmailAttrs, EmailModel]


def registered(cls: type) -> tuple[Registry, JobType]:
    fresh = Registry("q")
    return fresh, fresh.add(cls, {"name": "Email"})


@pytest.mark.parametrize("cls", KINDS)
def test_the_wire_format_is_the_documented_one(cls: Any) -> None:
    fresh, job_type = registered(cls)
    payload = job_type.encode(cls(to="a@b.c"))
    assert payload.startswith(b'{"job":"Email","args":{')
    assert msgspec.json.decode(payload) == {"job": "Email", "args": {"to": "a@b.c", "copies": 1}}
    opened, args = fresh.open(b' { "args" : { "to" : "a@b.c" } , "job" : "Email" } ')  # from another language
    assert opened is job_type
    assert job_type.decode(args) == cls(to="a@b.c")


@pytest.mark.parametrize("cls", KINDS)
@pytest.mark.parametrize(
    ("args", "says"),
    [
        (b"{}", "to"),
        (b'{"to": 3}', "to"),
        (b'{"to": "a", "copies": "many"}', "copies"),
        (b'{"to": "a", "copies": null}', "copies"),
        (b'["a"]', "Email"),
        (b"3", "Email"),
        (b"null", "Email"),
    ],
)
def test_args_that_do_not_fit_are_undecodable_by_field(cls: type, args: bytes, says: str) -> None:
    _, job_type = registered(cls)
    with pytest.raises(Undecodable, match="Email") as caught:
        job_type.decode(args)
    assert says in caught.value.reason


@pytest.mark.parametrize("cls", KINDS[:3])
def test_a_field_that_is_not_known_here_is_never_dropped(cls: type) -> None:
    _, job_type = registered(cls)
    with pytest.raises(Undecodable, match="unknown field `urgent`"):
        job_type.decode(b'{"to": "a", "urgent": true}')


def test_a_model_takes_unknown_fields_as_its_own_rules_say() -> None:
    class Strict(EmailModel, extra="forbid"):
        pass

    assert registered(EmailModel)[1].decode(b'{"to": "a", "urgent": true}') == EmailModel(to="a")
    with pytest.raises(Undecodable, match="urgent"):
        registered(Strict)[1].decode(b'{"to": "a", "urgent": true}')


PLACES = {
    "point": ({"x": 1, "new": 2}, "$.point.new"),
    "many": ([{"x": 1}, {"x": 1, "new": 2}], "$.many[1].new"),
    "by_name": ({"a": {"x": 1, "new": 2}}, "$.by_name.a.new"),
    "attrs_pair": ({"left": {"x": 1, "new": 2}}, "$.attrs_pair.left.new"),
    "shape": ({"type": "Circle", "radius": 1, "new": 2}, "$.shape.new"),
    "shapes": ([{"type": "Square", "side": "1", "new": 2}], "$.shapes[0].new"),
    "options": ({"depth": 1, "new": 2}, "$.options.new"),
    "box": ({"content": {"x": 1, "new": 2}}, "$.box.content.new"),
    "tree": ({"value": 1, "children": [{"value": 2, "new": 3}]}, "$.tree.children[0].new"),
}


@pytest.mark.parametrize("place", PLACES)
def test_nor_is_one_deep_within(place: str) -> None:
    partial = make_partial(place)
    _, job_type = registered(partial)
    value, path = PLACES[place]
    with pytest.raises(Undecodable, match="unknown field") as caught:
        job_type.decode(msgspec.json.encode({place: value}))
    assert f"`{path}`" in caught.value.reason


def make_partial(name: str) -> type:
    """A job class with one field of `Everything`."""
    return type("Partial", (Runs, msgspec.Struct), {"__annotations__": {name: Everything.__annotations__[name]}})


@dataclass
class Shape(Runs):
    shape: Circle | Square | None
    nested: "Shape | None" = None


def test_what_is_known_deep_within_is_taken() -> None:
    _, job_type = registered(Shape)
    args = b'{"shape": {"type": "Square", "side": "2"}, "nested": {"shape": null}}'
    assert job_type.decode(args) == Shape(Square(Decimal(2)), Shape(None))


def test_a_job_class_that_holds_itself_is_strict_within() -> None:
    with pytest.raises(Undecodable, match=r"\$.nested.new"):
        registered(Shape)[1].decode(b'{"shape": null, "nested": {"shape": null, "new": 1}}')


RUBBISH = {
    "nothing": b"",
    "no JSON": b"\x00\xff\xfe",
    "half of it": b'{"job": "Email", "args": {"to": "a"',
    "more than it": b'{"job": "Email", "args": {}} {}',
    "no UTF-8": b'{"job": "\xff", "args": {}}',
    "a lone surrogate": b'{"job": "\\ud800", "args": {}}',
    "NaN": b'{"job": "Email", "args": NaN}',
    "another shape": b"[1, 2]",
    "no name": b'{"args": {}}',
    "a name of another type": b'{"job": 3, "args": {}}',
    "no args": b'{"job": "Email"}',
    "more than an envelope": b'{"job": "Email", "args": {}, "delay": 3}',
    "ten megabytes of [": b"[" * 10_000_000,
    "the same within": b'{"job": "Email", "args": ' + b"[" * 10_000_000,
    "an unknown job": b'{"job": "Fax", "args": {}}',
    "a very long name": b'{"job": "%b", "args": {}}' % (b"x" * 10_000_000),
}


@pytest.mark.parametrize("what", RUBBISH)
def test_stored_rubbish_is_undecodable_with_a_short_reason(what: str) -> None:
    fresh, _ = registered(Email)
    with pytest.raises(Undecodable) as caught:
        fresh.open(RUBBISH[what])
    assert 0 < len(caught.value.reason) < 2000


def test_an_unknown_job_is_told_with_those_that_are_known() -> None:
    fresh, _ = registered(Email)
    with pytest.raises(Undecodable, match="queue 'q' has no job 'Fax'; it has: Email"):
        fresh.open(b'{"job": "Fax", "args": {}}')


fields = st.sampled_from(["to", "copies", "new"])


@settings(max_examples=300, deadline=None)
@given(
    st.binary() | st.dictionaries(fields, plain).map(lambda args: msgspec.json.encode({"job": "Email", "args": args}))
)
def test_no_payload_raises_anything_else(payload: bytes) -> None:
    fresh, _ = registered(Email)
    try:
        job_type, args = fresh.open(payload)
        job = job_type.decode(args)
    except Undecodable:
        return
    assert isinstance(job, Email)


class Validated(msgspec.Struct, Runs):
    share: float

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise LookupError(f"no such share: {self.share}")


def test_what_a_validator_raises_is_the_reason() -> None:
    with pytest.raises(Undecodable, match="LookupError: no such share: 2"):
        registered(Validated)[1].decode(b'{"share": 2}')


@dataclass
class Renamed(Runs):
    recipient: str

    @classmethod
    def upgrade(cls, args: dict[str, Any]) -> dict[str, Any]:
        args["recipient"] = args.pop("to")
        return args


def test_upgrade_is_given_what_strict_decoding_refused() -> None:
    _, job_type = registered(Renamed)
    assert job_type.decode(b'{"to": "a"}') == Renamed("a")
    assert job_type.decode(b'{"recipient": "a"}') == Renamed("a")


@pytest.mark.parametrize("args", [b'{"from": "a"}', b'{"to": 3}', b'{"to": "a", "new": 1}', b"[]"])
def test_what_no_upgrade_mends_stays_undecodable(args: bytes) -> None:
    with pytest.raises(Undecodable, match="Email, upgraded"):
        registered(Renamed)[1].decode(args)


def test_aliases_are_decoded_and_the_name_is_written() -> None:
    fresh = Registry("q")
    job_type = fresh.add(Email, {"name": "Mail", "aliases": ("Email", "SendEmail")})
    for name in ("Mail", "Email", "SendEmail"):
        assert fresh.named(name) is fresh.open(b'{"job":"%b","args":{}}' % name.encode())[0] is job_type
    assert job_type.encode(Email("a")).startswith(b'{"job":"Mail"')


@pytest.mark.parametrize(
    ("job", "says"),
    [
        (Email(3), r"Expected `str`, got `int` - at `\$.to`"),  # type: ignore[arg-type]  # that it is refused is the point
        (Email("\ud800"), "surrogates"),
    ],
)
def test_what_does_not_fit_its_own_class_is_not_encoded(job: Email, says: str) -> None:
    _, job_type = registered(Email)
    with pytest.raises(InvalidArgument, match=says):
        job_type.encode(job)


@dataclass
class Loose(Runs):
    value: Any = None


@pytest.mark.parametrize(
    "value",
    [
        (1, 2),
        {1, 2},
        {1: 2},
        math.nan,
        math.inf,
        datetime(2026, 1, 1, tzinfo=UTC),
        Decimal(1),
        b"x",
        Point(1),
        Colour.RED,
    ],
    ids=repr,
)
def test_what_would_not_come_back_equal_is_not_encoded(value: object) -> None:
    with pytest.raises(InvalidArgument, match=r"would not come back as it is: value=.* would be"):
        registered(Loose)[1].encode(Loose(value))


def test_a_job_that_is_not_equal_to_itself_is_not_encoded() -> None:
    """Its fields are; and what can't even be shown is called by its type."""

    @dataclass(frozen=True, eq=False)
    class Moody:
        count: int

        def __eq__(self, other: object) -> bool:
            return False

        def __hash__(self) -> int:
            return 0

        def __repr__(self) -> str:
            raise ZeroDivisionError

        def run(self) -> None: ...

    with pytest.raises(InvalidArgument, match="as it is: a Moody would be a Moody"):
        registered(Moody)[1].encode(Moody(1))


def test_what_has_no_json_is_not_encoded() -> None:
    selfish: list[Any] = []
    selfish.append(selfish)
    for value in (object(), selfish, 1j):
        with pytest.raises(InvalidArgument, match="Email can't be stored"):
            registered(Loose)[1].encode(Loose(value))


@dataclass(eq=False)
class Identity(Runs):
    tags: set[str]


def test_a_class_without_equality_is_compared_by_what_is_stored() -> None:
    _, job_type = registered(Identity)
    payload = job_type.encode(Identity({"a", "b", "c"}))
    assert msgspec.json.decode(payload)["args"]["tags"]
    with pytest.raises(InvalidArgument):
        job_type.encode(Identity({"a", 1}))  # type: ignore[arg-type]  # that it is refused is the point


def test_an_unregistered_class_is_told_with_a_hint() -> None:
    fresh, _ = registered(Email)
    for slip, says in ((Loose(), "no job Loose; it has: Email"), (Email, "enqueue an instance"), (print, r"\.job\(")):
        with pytest.raises(UnknownJob, match=says):
            fresh.type_of(slip)
    with pytest.raises(UnknownJob, match="'Fax'"):
        fresh.named("Fax")
