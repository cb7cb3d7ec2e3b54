"""What can't be stored or run is refused when it is registered, naming the class and the field."""

from collections.abc import Callable, Iterator
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import attrs
import msgspec
import pydantic
import pytest

from jobcore import ExceptionBehavior, Job, Queue
from jobcore.codec import Registry
from jobcore.errors import JobcoreError, RegistrationError
from jobcore.job import Policy

if TYPE_CHECKING:
    from decimal import Decimal


@dataclass
class Left:
    n: int


@dataclass
class Right:
    n: int


class Runs(Job[object]):
    """A base with a `run`, for classes of which something else is tested."""

    def run(self) -> None:
        """Do nothing."""


@dataclass
class Unstorable(Runs):
    folder: Path


@dataclass
class DeepUnstorable(Runs):
    folders: dict[str, list[Path]]


@dataclass
class Ambiguous(Runs):
    either: Left | Right


@dataclass
class KeyedByRecord(Runs):
    index: dict[Left, int]


@dataclass
class Unresolvable(Runs):
    to: "Nowhere"  # type: ignore[name-defined]  # noqa: F821 -- that it is nowhere is the point


@dataclass
class OnlyWhileTyping(Runs):
    price: "Decimal"


@dataclass
class NotSettable(Runs):
    path: str
    size: int = field(init=False, default=0)


@dataclass
class Holder:
    inner: int = field(init=False, default=0)


@dataclass
class DeepNotSettable(Runs):
    holder: Holder


@dataclass
class PassedThrough(Runs):
    path: str
    mode: InitVar[int] = 0


@attrs.define
class AttrsNotSettable(Runs):
    size: int = attrs.field(init=False, default=0)


@attrs.define
class AttrsUnderscore(Runs):
    _size: int = 0


class Undecorated(Runs):
    to: str


@dataclass
class Decorated(Runs):
    to: str


class HalfDecorated(Decorated):
    subject: str


class ArrayLike(msgspec.Struct, Runs, array_like=True):
    n: int


class PrivateModel(pydantic.BaseModel, Runs):
    _seen: int = pydantic.PrivateAttr(0)


class IncompleteModel(pydantic.BaseModel, Runs):
    to: "Nowhere"  # type: ignore[name-defined]  # noqa: F821 -- that it is nowhere is the point


@pytest.mark.parametrize(
    ("cls", "names"),
    [
        (Unstorable, "Unstorable.folder: Path can't be stored"),
        (DeepUnstorable, r"DeepUnstorable.folders\[value\]\[item\]: Path can't be stored"),
        (Ambiguous, "Ambiguous.either .* tag"),
        (KeyedByRecord, "KeyedByRecord.index: the keys .* not Left"),
        (Unresolvable, "Unresolvable.to .*'Nowhere' is not defined.* define or import"),
        (OnlyWhileTyping, "OnlyWhileTyping.price .*outside of .*TYPE_CHECKING"),
        (NotSettable, "NotSettable.size has init=False"),
        (DeepNotSettable, "DeepNotSettable.holder.inner has init=False"),
        (PassedThrough, "PassedThrough.mode"),
        (AttrsNotSettable, "AttrsNotSettable.size has init=False"),
        (AttrsUnderscore, "AttrsUnderscore._size begins with an underscore"),
        (Undecorated, "Undecorated has no fields: make it a dataclass"),
        (HalfDecorated, "HalfDecorated.subject is annotated but no field"),
        (ArrayLike, "ArrayLike is array_like"),
        (PrivateModel, "PrivateModel._seen is private"),
        (IncompleteModel, "IncompleteModel .*model_rebuild"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_what_cannot_be_stored_is_refused(cls: type, names: str) -> None:
    with pytest.raises(RegistrationError, match=names):
        Registry("q").add(cls)


def test_a_local_class_that_its_annotation_names_in_quotes_is_refused_with_advice() -> None:
    @dataclass
    class Tree(Runs):
        children: "list[Tree]"

    with pytest.raises(
        RegistrationError, match=r"Tree.children .*define or import the name there, outside of functions"
    ):
        Registry("q").add(Tree)


@dataclass
class Without(Job[object]):
    n: int = 0


@dataclass
class TooMany(Without):
    def run(self, state: object, context: object, more: object) -> None: ...


@dataclass
class Starred(Without):
    def run(self, *args: object) -> None: ...


@dataclass
class ByKeyword(Without):
    def run(self, *, state: object) -> None: ...


@dataclass
class Unbound(Without):
    @staticmethod
    def run() -> None: ...


@dataclass
class Generator(Without):
    def run(self) -> Iterator[int]:
        yield self.n


@dataclass
class RunIsField(Job[object]):
    run: int = 0


@pytest.mark.parametrize("cls", [Without, TooMany, Starred, ByKeyword, Unbound, Generator, RunIsField])
def test_what_cannot_be_run_is_refused(cls: type) -> None:
    with pytest.raises(RegistrationError, match=cls.__name__):
        Registry("q").add(cls)


@dataclass
class BadPolicy(Runs):
    n: int
    max_attempts = 0


@dataclass
class BadName(Runs):
    n: int
    name = "send email"


@dataclass
class BareAlias(Runs):
    n: int
    aliases = "Old"


@dataclass
class UpgradeOnJob(Runs):
    n: int

    def upgrade(self, args: dict[str, Any]) -> dict[str, Any]:
        return args


@pytest.mark.parametrize(
    ("cls", "names"),
    [
        (BadPolicy, "BadPolicy: max_attempts"),
        (BadName, "BadName: a job's name is 1 to 200 of"),
        (BareAlias, "BareAlias: aliases .*'Old',"),
        (UpgradeOnJob, "UpgradeOnJob.upgrade .*classmethod"),
    ],
)
def test_policy_of_a_class_is_checked(cls: type, names: str) -> None:
    with pytest.raises(RegistrationError, match=names):
        Registry("q").add(cls)


@pytest.mark.parametrize("name", ["", "a" * 201, "a b", "a/b", "naïve", "a\n", 3])
def test_a_name_outside_its_characters_is_refused(name: Any) -> None:
    with pytest.raises(RegistrationError, match="name"):
        Registry("q").add(Decorated, {"name": name})


def test_a_misspelt_option_names_the_right_one() -> None:
    misspelt: Any = {"max_attempt": 3}
    with pytest.raises(RegistrationError, match="no option 'max_attempt': did you mean 'max_attempts'"):
        Queue("q").job(**misspelt)(Decorated)


def test_two_jobs_of_one_name_are_refused() -> None:
    registry = Registry("mail")
    registry.add(Decorated)
    with pytest.raises(RegistrationError, match="queue 'mail' has a job named 'Decorated' already"):
        registry.add(Fields, {"name": "Decorated"})
    with pytest.raises(RegistrationError, match="already"):
        registry.add(Fields, {"aliases": ("Decorated",)})
    registry.add(Fields)  # what was refused has left nothing behind


def test_refusals_are_jobcores_own_errors() -> None:
    assert issubclass(RegistrationError, JobcoreError)
    assert issubclass(RegistrationError, TypeError)


@dataclass
class Fields(Runs):
    """Fields are never policy, whatever they are called."""

    name: str
    timeout: int
    max_attempts: str = "many"
    aliases: int = 0


def test_what_is_a_field_is_never_policy() -> None:
    added = Registry("q", Policy(timeout=7)).add(Fields)
    assert (added.name, added.aliases) == ("Fields", ())
    assert (added.policy.timeout, added.policy.max_attempts) == (7, 10)


@dataclass
class Opinionated(Runs):
    n: int
    max_attempts: ClassVar[int] = 2
    on_exception = ExceptionBehavior.RETRY


def test_policy_is_the_classs_then_the_decorators_then_the_queues() -> None:
    defaults = Policy(max_attempts=4, timeout=4, max_lost=4)
    policy = Registry("q", defaults).add(Opinionated, {"max_attempts": 3, "timeout": 3}).policy
    assert (policy.max_attempts, policy.timeout, policy.max_lost) == (2, 3, 4)
    assert policy.on_exception is ExceptionBehavior.RETRY


class Arguments(msgspec.Struct, Job[Any]):
    n: int = 0


class Nothing(Arguments):
    def run(self) -> object:
        return ()


class State(Arguments):
    def run(self, state: object) -> object:
        return (state,)


class Context(Arguments):
    async def run(self, state: object, context: object) -> object:
        return (state, context)


def make_context() -> Any:
    return "context"


def test_run_is_told_apart_by_the_number_of_its_parameters() -> None:
    registry = Registry("q")
    assert registry.add(Nothing).call(Nothing(), "state", pytest.fail) == ()
    assert registry.add(State).call(State(), "state", pytest.fail) == ("state",)
    added = registry.add(Context)
    running = added.call(Context(), "state", make_context)
    with pytest.raises(StopIteration) as ended:
        running.send(None)
    assert ended.value.value == ("state", "context")
    assert [each.is_async for each in registry] == [False, False, True]


def refused(decorate: Callable[[], object]) -> str:
    with pytest.raises(RegistrationError) as caught:
        decorate()
    return str(caught.value)


def test_functions_that_cannot_be_stored_are_refused() -> None:
    queue = Queue("q")

    def starred(*paths: str) -> None: ...
    def keywords(**options: str) -> None: ...
    def unstorable(folder: Path) -> None: ...
    def unresolvable(to: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821 -- as above
    def generator() -> Iterator[int]:
        yield 1

    assert "starred can't be stored with *paths" in refused(lambda: queue.job(starred))
    assert "keywords can't be stored with **options" in refused(lambda: queue.job(keywords))
    assert "unstorable.folder: Path can't be stored" in refused(lambda: queue.job(unstorable))
    assert "unresolvable.to can't be stored" in refused(lambda: queue.job(unresolvable))
    assert "write a function with def" in refused(lambda: queue.job(max))
    assert "generator is a generator" in refused(lambda: queue.job(generator))
    assert "name" in refused(lambda: queue.job(lambda: None))
    assert "context" in refused(lambda: queue.job(context=True)(lambda *, c: None))  # type: ignore[misc,arg-type]  # the point
    assert "functions" in refused(lambda: queue.job(context=True)(Decorated))  # type: ignore[arg-type]  # the point


def test_only_what_is_stored_needs_annotations_that_resolve() -> None:
    def job(context: "Nowhere", path: str) -> "Nowhere": ...  # type: ignore[name-defined]  # noqa: F821 -- as above

    Queue("q").job(context=True)(job)


T = TypeVar("T")


@dataclass
class Boxed(Runs, Generic[T]):
    content: T


def plain(n: int) -> int:
    return n


def test_jobs_takes_classes_and_says_so() -> None:
    queue = Queue("q")
    listed: Any = [queue.job(plain), Boxed[int], 3]
    for each in listed:
        with pytest.raises(RegistrationError, match=r"is no class: register functions by @queue\.job"):
            Queue("q", jobs=[each])
    with pytest.raises(RegistrationError, match="generic classes without their parameters"):
        queue.job(Boxed[int])
    queue.job(Boxed)
    queue.registry.named("Boxed").encode(Boxed(3))
