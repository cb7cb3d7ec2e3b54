"""What a job's class and its decorator say of it: names, policy, and how older forms are upgraded."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple, TypeAlias

from jobcore.backend.options import hint
from jobcore.errors import InvalidArgument, RegistrationError
from jobcore.job import JobOptions, Policy, PolicyOptions

Upgrade: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]
"""From the `args` of an older form to those of today's."""

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,200}", re.ASCII)
_POLICY: Final = tuple(PolicyOptions.__annotations__)
_OPTIONS: Final = ("name", "aliases", *_POLICY)


class Declared(NamedTuple):
    """All that is declared of one job type."""

    name: str
    aliases: tuple[str, ...]
    policy: Policy
    upgrade: Upgrade | None


def declared(cls: type, fields: tuple[str, ...], options: JobOptions, defaults: Policy) -> Declared:
    """What holds for a class: what it says itself, else the decorator's options, else the defaults.

    What is a field is never policy, whatever it is called.

    Raises:
        RegistrationError: an option is unknown, or a value is of the wrong type; the message names the class.
    """
    _check_options(cls, options)
    own = {key: getattr(cls, key) for key in _OPTIONS if key not in fields and hasattr(cls, key)}
    said: Mapping[str, Any] = {**options, **own}
    try:
        policy = replace(defaults, **{key: value for key, value in said.items() if key in _POLICY})
    except InvalidArgument as error:
        raise RegistrationError(f"{cls.__name__}: {error}") from None
    return Declared(*_names(cls, said), policy, _upgrade_of(cls, fields))


def check_name(name: object) -> str:
    """A job's name: 1 to 200 of `A-Z a-z 0-9 . _ -`; raises InvalidArgument."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidArgument(f"a job's name is 1 to 200 of A-Z a-z 0-9 . _ -, not {repr(name)[:80]}")
    return name


def _names(cls: type, said: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    aliases = said.get("aliases", ())
    if isinstance(aliases, str):
        raise RegistrationError(f"{cls.__name__}: aliases is a sequence of names: write ({aliases!r},)")
    try:
        return check_name(said.get("name", cls.__name__)), tuple(check_name(alias) for alias in aliases)
    except (InvalidArgument, TypeError) as error:
        raise RegistrationError(f"{cls.__name__}: {error}; say name=… or aliases=(…)") from None


def _check_options(cls: type, options: JobOptions) -> None:
    for option in options:
        if option not in _OPTIONS:
            raise RegistrationError(f"{cls.__name__}: a job has no option {option!r}: {hint(option, _OPTIONS)}")


def _upgrade_of(cls: type, fields: tuple[str, ...]) -> Upgrade | None:
    static = None if "upgrade" in fields else inspect.getattr_static(cls, "upgrade", None)
    if static is None:
        return None
    if not isinstance(static, classmethod | staticmethod):
        raise RegistrationError(f"{cls.__name__}.upgrade is given args, not a job: make it a classmethod")
    upgrade: Upgrade = cls.upgrade  # type: ignore[attr-defined]  # `getattr_static` has found it
    return upgrade
