"""Open pages, each with at most one question that is being answered."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpupack.explore.workers import Event, Job, WorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_VIEWS = 200
MOST_ANSWERS = 60
"""Answers of a page that are kept, to be compared or written."""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer that was given.

    Args:
        data_id: Of the profiles that it is about.
        placement: As jobs keep it.
    """

    data_id: str
    placement: bytes


@dataclass
class View:
    """One open page.

    Attributes:
        answers: By id, the oldest first.
    """

    answers: OrderedDict[str, KeptAnswer] = field(default_factory=OrderedDict)
    _asked: dict[str, int] = field(default_factory=dict)
    _turns: dict[str, asyncio.Lock] = field(default_factory=dict)
    _current: dict[str, asyncio.Event] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def keep(self, data_id: str, placement: bytes) -> str:
        """Keep an answer, and return its id."""
        answer_id = secrets.token_hex(6)
        self.answers[answer_id] = KeptAnswer(data_id, placement)
        while len(self.answers) > MOST_ANSWERS:
            self.answers.popitem(last=False)
        return answer_id

    def cancel(self, slot: str) -> None:
        """End what is being answered."""
        self._asked[slot] = self._asked.get(slot, 0) + 1
        if slot in self._current:
            self._current[slot].set()

    async def ask(
        self, slot: str, pool: WorkerPool, job: Callable[[], Job]
    ) -> AsyncGenerator[Event]:
        """Yield what a job tells, until another is asked in its slot.

        A job that is asked while one is being ended waits for that; of several that
        wait only the last is done. Who stops listening ends the job.

        Args:
            slot: Of the page: it has one job at a time.
            pool: Does the job.
            job: Makes it, once it is its turn.
        """
        self.cancel(slot)
        mine = self._asked[slot]
        told: asyncio.Queue[Event | None] = asyncio.Queue()
        # In a task of its own: a browser that goes away must not keep a job from being
        # ended in order, before the next one has its turn.
        task = asyncio.create_task(self._run(slot, mine, pool, job, told))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            while (event := await told.get()) is not None:
                yield event
        finally:
            if self._asked[slot] == mine:
                self.cancel(slot)

    async def _run(
        self,
        slot: str,
        mine: int,
        pool: WorkerPool,
        job: Callable[[], Job],
        told: asyncio.Queue[Event | None],
    ) -> None:
        try:
            async with self._turns.setdefault(slot, asyncio.Lock()):
                if self._asked[slot] == mine:
                    is_over = self._current[slot] = asyncio.Event()
                    async with aclosing(_until(pool.run(job()), is_over)) as events:
                        async for event in events:
                            told.put_nowait(event)
            if self._asked[slot] != mine:
                told.put_nowait(Event("superseded", "{}"))
        finally:
            told.put_nowait(None)


async def _until(
    events: AsyncGenerator[Event], is_over: asyncio.Event
) -> AsyncGenerator[Event]:
    """Yield events until they end or somebody says that it is over."""
    stop = asyncio.ensure_future(is_over.wait())
    upcoming: asyncio.Future[Event] | None = None
    try:
        while True:
            upcoming = asyncio.ensure_future(anext(events))
            await asyncio.wait({upcoming, stop}, return_when=asyncio.FIRST_COMPLETED)
            if stop.done():
                return
            try:
                event = upcoming.result()
            except StopAsyncIteration:
                return
            yield event
    finally:
        stop.cancel()
        if upcoming is not None and not upcoming.done():
            upcoming.cancel()
            await asyncio.wait({upcoming})
        await events.aclose()


class Views:
    """Pages by the id that each gives itself; of many the oldest are forgotten."""

    def __init__(self) -> None:
        self._views: OrderedDict[str, View] = OrderedDict()

    def of(self, view_id: str) -> View:
        """Return a page, a new one where it is not known."""
        view = self._views.setdefault(view_id, View())
        self._views.move_to_end(view_id)
        while len(self._views) > MOST_VIEWS:
            _, oldest = self._views.popitem(last=False)
            for slot in ("question", "map"):
                oldest.cancel(slot)
        return view
