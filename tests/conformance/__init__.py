"""The conformance suite: proves that a driver keeps the laws, ours or anyone's.

Subclass `BackendSuite` with a `harness` fixture, or run the suite on a URL:

    pytest --pyargs jobcore.conformance --backend-url redis://localhost
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from jobcore.conformance.client import Client
    from jobcore.conformance.harness import Harness, Look
    from jobcore.conformance.suite import BackendSuite

__all__ = ["BackendSuite", "Client", "Harness", "Look"]

_HOMES: Final = {"BackendSuite": "suite", "Client": "client", "Harness": "harness", "Look": "harness"}

# Before they are imported: only then do failing asserts show their values.
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))


def __getattr__(name: str) -> Any:
    """Import what is asked for, when it is: pytest loads our plugin in runs that have nothing to do with it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
