"""How the fields of a class become the JSON of `args`, and how they come back.

Decoding is strict: a field that the class does not have is refused at any depth, so that an old worker never
drops what a newer producer meant.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
from msgspec.inspect import DataclassType, StructType, Type

from jobcore.errors import RegistrationError
from jobcore.storable import STORABLE, check_record, is_class, is_model, parts_of, record_of, types_in
from jobcore.strict import RECORDS, is_open, unknown_fields


class Shape(Protocol):
    """How one class is stored."""

    fields: tuple[str, ...]

    def encode(self, job: Any) -> bytes:
        """The JSON object of a job's fields; raises what the encoder raises."""
        ...

    def decode(self, args: bytes | msgspec.Raw) -> Any:
        """A job from such an object; raises what the decoder, or a validator of the class, raises."""
        ...

    def same(self, job: Any, again: Any) -> bool:
        """Whether a job came back as it was."""
        ...


def shape_of(cls: type) -> Shape:
    """How a class is stored.

    Raises:
        RegistrationError: it is no class, has no fields, or one that can't be stored; the message names it.
    """
    if not is_class(cls):
        raise RegistrationError(
            f"{cls!r} is no class: register functions by @queue.job, and generic classes without their parameters"
        )
    return ModelShape(cls) if is_model(cls) else RecordShape(cls)


class ModelShape:
    """A pydantic model, stored and read by pydantic's own rules."""

    def __init__(self, cls: Any) -> None:
        for name in cls.__private_attributes__:
            raise RegistrationError(f"{cls.__name__}.{name} is private, and would not be stored: make it a field")
        if not cls.__pydantic_complete__:
            raise RegistrationError(
                f"{cls.__name__} has annotations that can't be resolved yet: call {cls.__name__}.model_rebuild() first"
            )
        self.fields: tuple[str, ...] = tuple(cls.model_fields)
        self._cls = cls

    def encode(self, job: Any) -> bytes:
        """The model's JSON, under its aliases."""
        return _model_json(job)

    def decode(self, args: bytes | msgspec.Raw) -> Any:
        """A validated model."""
        return _load_json(self._cls, bytes(args))

    def same(self, job: Any, again: Any) -> bool:
        """Models compare by their fields."""
        return bool(job == again)


class RecordShape:
    """A dataclass, a `msgspec.Struct` or an attrs class, stored and read by msgspec.

    msgspec refuses unknown fields only in Structs that say so. What it decoded is therefore read once more: the
    outermost names by a Struct that does say so, and the inner ones, where there are any, by `unknown_fields`.
    """

    def __init__(self, cls: type) -> None:
        root = record_of(cls)
        types = list(types_in(root, cls.__name__))
        check_record(cls, root, types)
        self.fields: tuple[str, ...] = tuple(field.name for field in root.fields)
        self._root = root if any(is_open(child) for _, node in types for _, child in parts_of(node)) else None
        self._compares = all(_compares(node) for _, node in types)
        self._encoder = msgspec.json.Encoder(enc_hook=_dump_model)
        self._sorted = msgspec.json.Encoder(enc_hook=_dump_model, order="deterministic")
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(cls, dec_hook=_load_model)
        self._names = msgspec.json.Decoder(_names_of(root)) if is_open(root) else None

    def encode(self, job: Any) -> bytes:
        """The fields as a JSON object, defaults included."""
        return self._encoder.encode(job)

    def decode(self, args: bytes | msgspec.Raw) -> Any:
        """An instance of the class."""
        job = self._decoder.decode(args)
        if self._names is not None:
            self._names.decode(args)
        if self._root is not None:
            for path in unknown_fields(self._root, msgspec.json.decode(args), "$"):
                raise msgspec.ValidationError(f"Object contains unknown field - at `{path}`")
        return job

    def same(self, job: Any, again: Any) -> bool:
        """By `==`, or where a class defines none, by what would be stored."""
        return bool(job == again) if self._compares else self._sorted.encode(job) == self._sorted.encode(again)


def _compares(node: Type) -> bool:
    cls = getattr(node, "cls", None)
    return not isinstance(node, RECORDS) or getattr(cls, "__eq__", None) is not object.__eq__


def _names_of(root: StructType | DataclassType) -> type[msgspec.Struct]:
    """A Struct that takes any values under the root's names, and no other names."""
    fields = [(f"f{i}", Any, None) for i in range(len(root.fields))]
    rename = {f"f{i}": field.encode_name for i, field in enumerate(root.fields)}
    tag, tag_field = getattr(root, "tag", None), getattr(root, "tag_field", None)
    return msgspec.defstruct("Names", fields, forbid_unknown_fields=True, rename=rename, tag=tag, tag_field=tag_field)


def _model_json(model: Any) -> bytes:
    dumped: str = model.model_dump_json(by_alias=True, round_trip=True, warnings="error")
    return dumped.encode()


def _dump_model(value: Any) -> Any:
    if is_model(type(value)):
        return msgspec.Raw(_model_json(value))
    raise NotImplementedError(f"{type(value).__name__} can't be stored; what can is {STORABLE}")


def _load_model(cls: Any, value: Any) -> Any:
    return _load_json(cls, msgspec.json.encode(value))


def _load_json(cls: Any, text: bytes) -> Any:
    try:
        return cls.model_validate_json(text)
    except ValueError as error:
        problems = error.errors() if hasattr(error, "errors") else []
        said = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problems)
        raise msgspec.ValidationError(said or str(error)) from None
