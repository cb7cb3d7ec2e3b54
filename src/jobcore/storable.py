"""What can't be stored is refused when it is registered, by a message that names it and says what to do."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias, get_origin

import msgspec
from msgspec.inspect import (
    CollectionType,
    CustomType,
    DataclassType,
    DictType,
    Field,
    StructType,
    TupleType,
    Type,
    type_info,
)

from jobcore.errors import RegistrationError
from jobcore.strict import RECORDS

STORABLE: Final = "numbers, text, bytes, dates, UUIDs, Decimals, enums, containers of these, and classes with fields"

_NO_KEYS: Final = (*RECORDS, CollectionType, TupleType, DictType, CustomType)
_Located: TypeAlias = tuple[str, Type]


def is_class(thing: object) -> bool:
    """Whether something is a class, and not a generic one with its parameters."""
    return isinstance(thing, type) and get_origin(thing) is None


def is_model(cls: object) -> bool:
    """Whether a class is a pydantic model; told without importing pydantic."""
    return isinstance(cls, type) and hasattr(cls, "model_validate_json")


def record_of(cls: type) -> StructType | DataclassType:
    """The fields of a class and their types, as msgspec sees them; raises RegistrationError."""
    try:
        node = type_info(cls)
    except Exception as error:  # noqa: BLE001 -- whatever resolving a user's annotation raises
        raise RegistrationError(_blame(cls, error)) from None
    if not isinstance(node, StructType | DataclassType):
        raise RegistrationError(
            f"{cls.__name__} has no fields: make it a dataclass, a msgspec.Struct, an attrs class or a pydantic model "
            "(with @queue.job above @dataclass)"
        )
    return node


def types_in(node: Type, path: str, seen: set[int] | None = None) -> Iterator[_Located]:
    """A type and all types within it, each once, with the path to it."""
    seen = set() if seen is None else seen
    if id(node) in seen:
        return
    seen.add(id(node))
    yield path, node
    for name, child in parts_of(node):
        yield from types_in(child, f"{path}{name}", seen)


def check_record(cls: type, root: StructType | DataclassType, types: Iterable[_Located]) -> None:
    """Refuse what msgspec would take, and not give back; raises RegistrationError."""
    if isinstance(root, StructType) and root.array_like:
        raise RegistrationError(f"{cls.__name__} is array_like, but args are an object: remove array_like")
    for name in _loose(cls, {field.name for field in root.fields}):
        raise RegistrationError(f"{cls.__name__}.{name} is annotated but no field: put @queue.job above @dataclass")
    for path, node in types:
        _check(path, node)


def advice(error: Exception) -> str:
    """What is wrong with an annotation, in one sentence that says what to do."""
    if isinstance(error, NameError):
        return (
            f"{error}; an annotation in quotes is looked up in its module, "
            "so define or import the name there, outside of functions and of `if TYPE_CHECKING`"
        )
    if "union" in str(error):
        return f"{error}; give each class of the union a tag (msgspec.Struct, tag=True)"
    return str(error)


def _blame(cls: type, error: Exception) -> str:
    """Which field of a class msgspec could not take, and what to do."""
    for name, annotation in inspect.get_annotations(cls).items():
        try:
            type_info(msgspec.defstruct(cls.__name__, [(name, annotation)], module=cls.__module__))
        except Exception as cause:  # noqa: BLE001 -- as in `record_of`
            return f"{cls.__name__}.{name} can't be stored: {advice(cause)}"
    return f"{cls.__name__} can't be stored: {advice(error)}"


def _loose(cls: type, fields: set[str]) -> Iterator[str]:
    """Names that a class annotates itself without their having become fields, as before `@dataclass` has run."""
    for name, annotation in inspect.get_annotations(cls).items():
        if name not in fields and "ClassVar" not in str(annotation):
            yield name


def parts_of(node: Type) -> Iterator[_Located]:
    """The types that a type is made of, and where in it they stand."""
    for attribute in node.__struct_fields__:
        value = getattr(node, attribute)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, Field):
                yield f".{part.name}", part.type
            elif isinstance(part, Type):
                yield f"[{attribute.removesuffix('s').removesuffix('_type')}]", part


def _check(path: str, node: Type) -> None:
    if isinstance(node, CustomType) and not is_model(node.cls):
        raise RegistrationError(f"{path}: {_called(node)} can't be stored; what can is {STORABLE}")
    key = getattr(node, "key_type", None)
    if isinstance(key, _NO_KEYS):
        raise RegistrationError(f"{path}: the keys of a JSON object are text or numbers, not {_called(key)}")
    if isinstance(node, DataclassType):
        for name, problem in _unsettable(get_origin(node.cls) or node.cls):
            raise RegistrationError(f"{path}.{name} {problem}")


def _called(node: Type) -> str:
    cls = getattr(node, "cls", None)
    return getattr(cls, "__name__", None) or type(node).__name__.removesuffix("Type").lower()


def _unsettable(cls: Any) -> Iterator[tuple[str, str]]:
    """Fields of a dataclass or attrs class that would not come back, and why."""
    attributes = getattr(cls, "__attrs_attrs__", None)
    for field in dataclasses.fields(cls) if attributes is None else attributes:
        if not field.init:
            yield field.name, "has init=False: a stored job is made from its fields, so make it a property"
        elif attributes is not None and field.name.startswith("_"):
            yield field.name, "begins with an underscore, which msgspec does not store for attrs: rename it"
