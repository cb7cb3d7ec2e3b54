"""What is tested: names and versions, as far as they can be known."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, entry_points, version
from typing import Final, Protocol, runtime_checkable

from jobcore.backend import Backend, BackendError, Diagnoses
from jobcore.connect import GROUP

_OURS: Final = "jobcore-queue"
_NAME: Final = re.compile(r"[\w.-]+")
_GUARANTEES: Final = {"server", "durability", "persistence"}
"""What of a diagnosis the laws stand on: they hold as far as the store keeps what it acknowledged."""

_EXTRA: Final = re.compile(r"""extra\s*==\s*['"]([\w.-]+)['"]""")


@runtime_checkable
class Describes(Protocol):
    """A backend that can say what it stands on."""

    def describe(self) -> Mapping[str, str]:
        """Names and versions by what they are, such as `{"server": "Redis 7.2.4"}`."""
        ...


def describe(backend: Backend) -> dict[str, str]:
    """What a backend says of itself, and what its installation says of it."""
    kind = type(backend)
    package = _distribution(kind.__module__)
    about = {"driver": f"{kind.__module__}.{kind.__qualname__}"}
    if package:
        about["package"] = f"{package.name} {package.version}"
        about["libraries"] = ", ".join(_libraries(package, kind.__module__)) or "none of its own"
    try:
        return about | _told(backend)
    except BackendError as error:  # one that may not ask, say: the laws can be tried all the same
        return about | {"server": f"not known: {error}"}


def _told(backend: Backend) -> dict[str, str]:
    """What a backend tells of itself, and what it is found to guarantee."""
    described = dict(backend.describe() if isinstance(backend, Describes) else {})
    findings = backend.diagnose() if isinstance(backend, Diagnoses) else []
    return described | {finding.about: finding.found for finding in findings if finding.about in _GUARANTEES}


def surroundings() -> dict[str, str]:
    """What every test of a run stands on."""
    return {
        "jobcore": version(_OURS),
        "hypothesis": version("hypothesis"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.machine()}",
    }


def _distribution(module: str) -> Distribution | None:
    """What installed a driver: known if it is registered by an entry point."""
    for point in entry_points(group=GROUP):
        if f"{module}.".startswith(f"{point.module}."):
            return point.dist
    return None


def _libraries(package: Distribution, module: str) -> Iterator[str]:
    """What a driver needs and jobcore does not: its package's requirements, or those of the extra of its name."""
    common = {_OURS, *(name for name, extra in _requirements(Distribution.from_name(_OURS)) if not extra)}
    extras = {extra for _, extra in _requirements(package) if extra in module.split(".")} or {""}
    for name, extra in _requirements(package):
        if extra in extras and name not in common:
            try:
                yield f"{name} {version(name)}"
            except PackageNotFoundError:  # required elsewhere, as its marker says
                continue


def _requirements(package: Distribution) -> Iterator[tuple[str, str]]:
    """Each requirement's name, and the extra that brings it, if one does."""
    for requirement in package.requires or []:
        name, extra = _NAME.match(requirement), _EXTRA.search(requirement)
        if name:
            yield name[0].lower(), extra[1] if extra else ""
