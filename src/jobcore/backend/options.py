"""Options in a backend's URL, read strictly: a misspelt one is an error that names the right one."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from jobcore.errors import ConfigurationError


def url_options(url: str, known: Mapping[str, Callable[[str], Any]]) -> tuple[str, dict[str, Any]]:
    """Split a driver's own options off a URL's query.

    Args:
        url: the URL that the user gave.
        known: for each option's name, what makes its value from text (raising ValueError if it can't).

    Returns:
        The URL without its query, and the values of the options that were given.

    Raises:
        ConfigurationError: an option is not known, is given twice, or its value can't be read.
    """
    base, _, query = url.partition("?")
    values: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            raise ConfigurationError(f"{urlsplit(url).scheme}:// has no option {name!r}: {hint(name, known)}")
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
