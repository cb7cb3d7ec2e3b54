"""From what a user types to queues: `module:attribute`, or a queue's name where no job is decoded."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

from jobcore.backend import Backend, Confined, Counts, Diagnoses, Makes
from jobcore.binding import VARIABLE
from jobcore.cli import output
from jobcore.cli.secrets import given_url
from jobcore.connect import open_backend
from jobcore.errors import ConfigurationError
from jobcore.queue import Queue


@contextmanager
def open_queues(targets: Sequence[str], url: str | None) -> Iterator[list[Queue[Any]]]:
    """The queues that are meant, on the backend of `url` if one is given, else on their own.

    Args:
        targets: each as `module:attribute`, found from the current directory on.
        url: as `--url` has it.

    Raises:
        ConfigurationError: there is no such module, attribute or queue; the message says what there is.
    """
    given = given_url(url)
    with ExitStack() as stack:
        queues = [load_queue(target) for target in targets]
        yield [stack.enter_context(queue.using(given)) if given else queue for queue in queues]


@contextmanager
def open_queue(target: str, url: str | None) -> Iterator[Queue[Any]]:
    """The same for one queue, which may also be given by its name alone, if its URL is known.

    Raises:
        ConfigurationError: as `open_queues`, or no URL is known.
        InvalidArgument: it is no queue's name.
    """
    if ":" in target:
        with open_queues([target], url) as (queue,):
            yield queue
        return
    given = given_url(url) or os.environ.get(VARIABLE)
    if not given:
        raise ConfigurationError(
            f"where is queue {target!r}? Say --url or set {VARIABLE}; or name it as your program does: module:attribute"
        )
    queue = Queue(target, given)
    try:
        yield queue
    finally:
        queue.close()


@contextmanager
def open_stored(target: str, url: str | None) -> Iterator[Queue[Any]]:
    """`open_queue`, of a store that is there to be looked into.

    Raises:
        ConfigurationError: as `open_queue`, or the store is still to be made.
    """
    with open_queue(target, url) as queue:
        check_there(queue.backend)
        yield queue


def check_there(backend: Backend) -> None:
    """See that there is a store to look into, and say so if that can show nothing.

    Raises:
        ConfigurationError: it is still to be made.
    """
    if unmade := unmade_yet(backend):
        raise ConfigurationError(unmade)
    if isinstance(backend, Confined):
        output.say(f"this store is kept in {backend.confined()}: what others keep in theirs can't be seen from here")


def unmade_yet(backend: Backend) -> str | None:
    """What a store lacks before it can hold jobs, and what follows; None if it is there."""
    unmade = backend.unmade() if isinstance(backend, Makes) else None
    return f"{unmade}; if the URL is right, the first job that is enqueued changes that" if unmade else None


def tell_if_unheard(queue: Queue[Any]) -> bool:
    """Say of a queue that holds nothing which ones do: perhaps another was meant. Returns whether it does not."""
    if queue.counts() != Counts():
        return False
    said = f"queue {queue.name!r} holds no jobs"
    if isinstance(queue.backend, Diagnoses):
        said += f"; the store has {', '.join(queue.backend.queues()[:20]) or 'none in any queue'}"
    output.say(said)
    return True


def check_shared(queues: Sequence[Queue[Any]]) -> None:
    """See that all processes will find the same jobs. Raises ConfigurationError."""
    for queue in queues:
        if isinstance(queue.backend, Confined):
            raise ConfigurationError(
                f"queue {queue.name!r} is kept in {queue.backend.confined()}: under --processes each worker process "
                "would have one of its own, and find no job. Leave --processes out (--concurrency says how many jobs "
                "run at once), or name a store that processes share, such as --url sqlite:///jobs.db"
            )


def open_store(stack: ExitStack, url: str | None) -> Backend:
    """The store itself, for what concerns all of its queues; closed with `stack`.

    Raises:
        ConfigurationError: no URL is known.
    """
    given = given_url(url) or os.environ.get(VARIABLE)
    if not given:
        raise ConfigurationError(f"which store? Say --url or set {VARIABLE}; or name queues as module:attribute")
    backend = open_backend(given)
    stack.callback(backend.close)
    return backend


def all_queues(backend: Backend) -> list[Queue[Any]]:
    """The queues that hold jobs.

    Raises:
        ConfigurationError: its driver can't tell.
    """
    if not isinstance(backend, Diagnoses):
        raise ConfigurationError(f"{type(backend).__name__} can't tell which queues there are: name them")
    return [Queue(name, backend) for name in backend.queues()]


def load_queue(target: str) -> Queue[Any]:
    """Import a queue given as `module:attribute`; raises ConfigurationError, and what the module itself raises."""
    name, _, path = target.partition(":")
    if not name:
        raise ConfigurationError(f"{target!r}: write module:attribute, as in app.tasks:mail")
    module = _load_module(name)
    if not path:
        raise ConfigurationError(f"{target!r}: which queue? {_queues_in(module)}")
    try:
        found = attrgetter(path)(module)
    except AttributeError:
        raise ConfigurationError(f"module {name!r} has no attribute {path!r}. {_queues_in(module)}") from None
    if not isinstance(found, Queue):
        raise ConfigurationError(f"{target} is no Queue but a {type(found).__name__}. {_queues_in(module)}")
    return found


def _load_module(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the module is there, and imports something that is not
        raise ConfigurationError(
            f"there is no module {error.name!r}, looked for from {here} on; a queue is written as module:attribute"
        ) from None


def _queues_in(module: ModuleType) -> str:
    names = [name for name, value in vars(module).items() if isinstance(value, Queue)]
    targets = ", ".join(f"{module.__name__}:{name}" for name in names)
    none = f"Module {module.__name__!r} has none; a queue is written as module:attribute"
    return f"There are: {targets}" if targets else none
