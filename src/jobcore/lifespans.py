"""Lifespans: what a worker enters before its first claim and leaves after its last settle."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from jobcore.eventloop import Loop
    from jobcore.shift import Lane

_log: Final = logging.getLogger("jobcore")


def enter_lifespans(lanes: Sequence[Lane], loop: Loop) -> Callable[[], None]:
    """Enter the lanes' lifespans on `loop`, in order; each gives its lane's state.

    Returns:
        What leaves them again, in reverse, and raises what they raise then.

    Raises:
        BaseException: what a lifespan raised; those before it have been left.
    """
    leave = loop.wait(_enter(lanes))

    def leave_them() -> None:
        if loop.answers():
            loop.wait(leave())
        else:
            _log.error("a job blocks the event loop: the lifespans are not left")

    return leave_them


async def _enter(lanes: Sequence[Lane]) -> Callable[[], Coroutine[Any, Any, None]]:
    """Enter all, in one task that lives until they are left: cancel scopes and task groups demand that."""
    entered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    leaving = asyncio.Event()

    async def live() -> None:
        try:
            async with AsyncExitStack() as stack:
                for lane in lanes:
                    await _enter_one(lane, stack)
                entered.set_result(None)
                await leaving.wait()
        except BaseException as error:
            if entered.done():
                raise
            entered.set_exception(error)

    life = asyncio.create_task(live())

    async def leave() -> None:
        leaving.set()
        await life

    await entered
    return leave


async def _enter_one(lane: Lane, stack: AsyncExitStack) -> None:
    if lane.binding.lifespan is not None:
        manager = lane.binding.lifespan()
        if isinstance(manager, AbstractAsyncContextManager):
            lane.state = await stack.enter_async_context(manager)
        else:
            lane.state = stack.enter_context(manager)
