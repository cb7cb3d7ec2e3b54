"""The conformance suite: proves that a driver keeps the laws, ours or anyone's.

Subclass `BackendSuite` with a `harness` fixture, or run the suite on a URL:

    pytest --pyargs jobcore.conformance --backend-url redis://localhost
"""

from __future__ import annotations

from pkgutil import iter_modules

import pytest

# Before they are imported: only then do failing asserts show their values.
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))

from jobcore.conformance.client import Client  # noqa: E402 -- see above
from jobcore.conformance.harness import Harness  # noqa: E402
from jobcore.conformance.suite import BackendSuite  # noqa: E402

__all__ = ["BackendSuite", "Client", "Harness"]
