"""Passwords are never shown: not in errors, not in logs, not in the arguments that other users can list."""

from __future__ import annotations

import os
import re
from typing import Final

from jobcore.errors import ConfigurationError

_IN_URL: Final = re.compile(r"(\w://[^\s/:@]*:)\S+@")
_IN_OPTION: Final = re.compile(r"(?i)(password['\"]?\s*[=:]\s*['\"]?)[^\s&'\"]+")
_FROM_ENVIRONMENT: Final = "env:"


def without_passwords(text: str) -> str:
    """A text with the passwords of its URLs left out; a last net, as messages hold no URL to begin with."""
    return _IN_OPTION.sub(r"\1***", _IN_URL.sub(r"\1***@", text))


def has_password(url: str) -> bool:
    """Whether a URL holds a password."""
    return without_passwords(url) != url


def given_url(text: str | None) -> str | None:
    """The URL that `--url` means: itself, or with `env:NAME` what that environment variable holds.

    Raises:
        ConfigurationError: it is empty, as of a shell's variable that is not set, or the variable is not set.
    """
    if text == "":
        raise ConfigurationError("--url is empty: name a store, or leave --url out to use the queue's own backend")
    if text is None or not text.startswith(_FROM_ENVIRONMENT):
        return text
    name = text.removeprefix(_FROM_ENVIRONMENT)
    url = os.environ.get(name, "")
    if not url:
        raise ConfigurationError(f"--url {text}: the environment variable {name} is not set")
    return url
