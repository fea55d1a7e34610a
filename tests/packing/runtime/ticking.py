"""A processor in turns, one tick of the clock after the other: slow and plain."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class TickingQueue:
    """Jobs of one queue, all times in whole ticks.

    ``before`` and ``work`` can be divided by ``num_blocks * num_pieces``.
    """

    arrivals: list[int] | None
    before: list[int]
    work: int
    waking: int
    num_blocks: int
    num_pieces: int

    def __post_init__(self) -> None:
        self.waiting: list[int] = []  # since when; the first is the one in work
        self.num_begun = 0
        self.pieces: list[list[int]] = []  # when the rest come, block by block
        self.at_processor = 0
        self.sojourns: list[int] = []
        self.ticks_busy = 0

    def begin(self, time: int, waking: int) -> None:
        """Begin the next job: plan its first block."""
        before = self.before[self.num_begun % len(self.before)]
        self.num_begun += 1
        step = before // (self.num_blocks * self.num_pieces)
        block = [step * (one + 1) for one in range(self.num_pieces)]
        # Blocks begin when the one before is done: their times are relative.
        self.pieces = [list(block) for _ in range(self.num_blocks)]
        self.pieces[0] = [time + waking + one for one in block]

    def end_of_block(self, time: int) -> None:
        """Go on with the next block, or the next job."""
        self.pieces.pop(0)
        if self.pieces:
            self.pieces[0] = [time + one for one in self.pieces[0]]
            return
        since = self.waiting.pop(0)
        if self.arrivals is None:
            self.waiting.append(time)
        else:
            self.sojourns.append(time - since)
        if self.waiting:
            self.begin(time, 0)

    def happens(self, time: int) -> bool:
        """Let one thing happen that is due; return whether there was one."""
        if self.arrivals and self.arrivals[0] <= time:
            self.waiting.append(self.arrivals.pop(0))
            if len(self.waiting) == 1:
                self.begin(time, self.waking)
            return True
        if self.pieces and self.pieces[0] and self.pieces[0][0] <= time:
            self.pieces[0].pop(0)
            self.at_processor += self.work // (self.num_blocks * self.num_pieces)
            return True
        return False


def is_over(running: TickingQueue, until_there: int, left: int) -> bool:
    """Return whether a turn ends: the work or the slice does."""
    return not until_there and not (running.at_processor and left)


def tick(
    queues: list[TickingQueue], slice_length: int, switching: int, horizon: int
) -> None:
    """Go through the time up to the horizon."""
    for one in queues:
        if one.arrivals is None:
            one.waiting.append(0)
            one.begin(0, 0)
    running: int | None = None
    last = until_there = left = 0
    for time in range(horizon):
        while True:
            if running is not None and is_over(queues[running], until_there, left):
                one = queues[running]
                if not one.at_processor and not one.pieces[0]:
                    one.end_of_block(time)
                last, running = running, None
            elif not any(one.happens(time) for one in queues):
                break
            if running is None:
                turns = [(last + 1 + step) % len(queues) for step in range(len(queues))]
                running = next((n for n in turns if queues[n].at_processor), None)
                until_there = 0 if running == last else switching
                left = slice_length
        for one in queues:
            one.ticks_busy += bool(one.waiting)
        if running is not None and until_there:
            until_there -= 1
        elif running is not None:
            queues[running].at_processor -= 1
            left -= 1
