"""Options in a backend's URL, read strictly: a misspelt one is an error that names the right one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from jobcore.errors import ConfigurationError

_OPEN_LOGIN: Final = re.compile(r"://(?!/).*[@/?#[\]].*@", re.DOTALL)
"""A host's login with characters in it that end a login, or begin something else."""


def url_options(url: str, known: Mapping[str, Callable[[str], Any]]) -> tuple[str, dict[str, Any]]:
    """Split a driver's own options off a URL's query.

    Args:
        url: the URL that the user gave.
        known: for each option's name, what makes its value from text (raising ValueError if it can't).

    Returns:
        The URL without its query, and the values of the options that were given.

    Raises:
        ConfigurationError: an option is not known, is given twice, or its value can't be read; or a password is written
            in such a way that a piece of it would be taken for something else, and shown.
    """
    if _OPEN_LOGIN.search(url):
        raise ConfigurationError(
            "an @ stands where none can: write the characters @ : / ? # [ ] % of a name, a password or an option as "
            "%40 %3A %2F %3F %23 %5B %5D %25"
        )
    base, _, query = url.partition("?")
    scheme = base.partition("://")[0]
    values: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            meant = repr(name) if name.isidentifier() else "of such a form"
            raise ConfigurationError(f"{scheme}:// has no option {meant}: {hint(name, known)}")
        if name in values:
            raise ConfigurationError(f"the option {name!r} is given twice")
        try:
            values[name] = known[name](text)
        except ValueError as error:
            raise ConfigurationError(f"the option {name}={text!r} can't be read: {error}") from None
    return base, values


def hint(name: str, known: Iterable[str]) -> str:
    """What to say of a name that is none of those known: the one that was meant, or all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"
