"""Finding fields that a type does not have, in JSON that msgspec has decoded without a word."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from msgspec.inspect import (
    CollectionType,
    DataclassType,
    Metadata,
    NamedTupleType,
    StructType,
    TupleType,
    Type,
    TypedDictType,
    UnionType,
)

Record: TypeAlias = StructType | DataclassType | TypedDictType | NamedTupleType
"""The kinds of types that have named fields."""

RECORDS: Final = (StructType, DataclassType, TypedDictType, NamedTupleType)


def is_open(node: Type) -> bool:
    """Whether msgspec would silently drop a field that this type does not have."""
    return isinstance(node, RECORDS) and not getattr(node, "forbid_unknown_fields", False)


def unknown_fields(node: Type, raw: Any, path: str) -> Iterator[str]:
    """Paths to the fields in decoded JSON that its type does not have.

    Args:
        node: the type, as `msgspec.inspect` gives it.
        raw: plain JSON values, which msgspec has already found to fit the type.
        path: where `raw` stands.
    """
    if isinstance(node, Metadata):
        yield from unknown_fields(node.type, raw, path)
    elif isinstance(node, UnionType):
        for member in node.types:
            if _may_be(member, raw):
                yield from unknown_fields(member, raw, path)
    elif isinstance(raw, dict | list):
        yield from _within(node, raw, path)


def _within(node: Type, raw: dict[str, Any] | list[Any], path: str) -> Iterator[str]:
    types = _types(node, raw)
    for key, value in raw.items() if isinstance(raw, dict) else enumerate(raw):
        where = f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}"
        if types is None:  # any JSON may stand here
            continue
        if key not in types:
            yield where
        elif (inner := types[key]) is not None:
            yield from unknown_fields(inner, value, where)


def _types(node: Type, raw: dict[str, Any] | list[Any]) -> Mapping[Any, Type | None] | None:
    """The types of the values within a value, by key or index; None: of any type."""
    if isinstance(node, RECORDS):
        return _field_types(node, raw)
    if isinstance(node, TupleType):
        return dict(enumerate(node.item_types))
    if isinstance(node, CollectionType):
        return dict.fromkeys(range(len(raw)), node.item_type)
    if hasattr(node, "value_type"):  # a dict, or the frozendict that newer versions know
        return dict.fromkeys(raw, node.value_type)
    return None


def _field_types(node: Record, raw: dict[str, Any] | list[Any]) -> Mapping[Any, Type | None]:
    tag_field = getattr(node, "tag_field", None)
    tag = [(tag_field, None)] if tag_field else []
    fields = [(field.encode_name, field.type) for field in node.fields]
    types: list[tuple[str, Type | None]] = [*tag, *fields]
    return dict(types) if isinstance(raw, dict) else {i: inner for i, (_, inner) in enumerate(types)}


def _may_be(member: Type, raw: Any) -> bool:
    """Whether JSON can be this member of a union; those with a tag are told apart by it, the rest by their kind."""
    if not isinstance(member, StructType) or member.tag_field is None:
        return True
    if member.array_like:
        return isinstance(raw, list) and raw[:1] == [member.tag]
    return isinstance(raw, dict) and raw.get(member.tag_field) == member.tag
