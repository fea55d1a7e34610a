"""How requests arrive when a model is sent so many a second: ``Arrivals``."""

from __future__ import annotations

import math
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from statistics import fmean, pvariance
from typing import Self

from pydantic import Field, model_validator

from gpupack.errors import InvalidInputError
from gpupack.files import AnyPath, read_text
from gpupack.quoting import quoted
from gpupack.records.record import Record

_GAMMA = "gamma:"
_WORDS = "poisson, constant, gamma:BURSTINESS such as gamma:0.5, or a file of times"


class ArrivalProcess(StrEnum):
    """The kinds of arrivals."""

    POISSON = "poisson"
    """Independent of each other, as of many users: exponential gaps."""
    CONSTANT = "constant"
    """Evenly spaced."""
    GAMMA = "gamma"
    """Independent gaps of a gamma distribution: in bursts, or more even."""
    TIMES = "times"
    """As they were recorded, over and over again."""


class Arrivals(Record):
    """How requests arrive; how many a second is said apart from it."""

    process: ArrivalProcess = ArrivalProcess.POISSON
    burstiness: float | None = Field(default=None, gt=0)
    """Of ``gamma``: the shape of its distribution. 1 is Poisson, less comes in bursts
    (the gaps' squared coefficient of variation is ``1 ÷ burstiness``)."""
    times_s: tuple[float, ...] = ()
    """Of ``times``: when requests arrived, in seconds, in order."""
    source: str | None = None
    """The file that the times are of."""

    @model_validator(mode="after")
    def _has_what_its_process_needs(self) -> Self:
        if (self.burstiness is None) == (self.process is ArrivalProcess.GAMMA):
            raise ValueError("gamma arrivals, and no others, have a burstiness")
        if bool(self.times_s) != (self.process is ArrivalProcess.TIMES):
            raise ValueError("arrivals by times, and no others, have times")
        if self.times_s:
            _check_times(self.times_s, "the arrival times")
        return self

    @classmethod
    def parse(cls, text: str) -> Arrivals:
        """Return the arrivals of that name, or those of a file.

        A file holds one time per line, in seconds from any beginning, in order; lines
        that begin with ``#`` are comments.

        Raises:
            InvalidInputError: There are none of that name, and no such file, or its
                times are not in order.
        """
        if not isinstance(text, str | Path):
            raise InvalidInputError(f"arrivals are {_WORDS}, got {quoted(text)}")
        named = cls.by_name(str(text))
        if named is not None:
            return named
        if not str(text).strip() or not Path(text).exists():
            raise InvalidInputError(
                f"arrivals are {_WORDS}; there is no file {quoted(str(text))}"
            )
        return cls.read(text)

    @classmethod
    def by_name(cls, text: str) -> Arrivals | None:
        """Return the arrivals of that name, None if it is none.

        Raises:
            InvalidInputError: If its burstiness is no number that there may be.
        """
        word = text.strip().lower()
        if word in (ArrivalProcess.POISSON, ArrivalProcess.CONSTANT):
            return cls(process=ArrivalProcess(word))
        if not (word.startswith(_GAMMA) or word == ArrivalProcess.GAMMA):
            return None
        return cls(
            process=ArrivalProcess.GAMMA,
            burstiness=_burstiness(word.removeprefix(_GAMMA), text),
        )

    @classmethod
    def read(cls, path: AnyPath) -> Arrivals:
        """Return the arrivals of a file; see ``parse``.

        Raises:
            InvalidInputError: They are not in order, or fewer than two.
            StoreError: The file cannot be read.
        """
        times = []
        for number, line in enumerate(read_text(path).splitlines(), start=1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            try:
                times.append(float(text))
            except ValueError as err:
                raise InvalidInputError(
                    f"{quoted(str(path))}, line {number}: an arrival time is a number "
                    f"of seconds, got {quoted(text)}"
                ) from err
        _check_times(times, quoted(str(path)))
        return cls(
            process=ArrivalProcess.TIMES,
            times_s=tuple(times),
            source=Path(path).name,
        )

    def __str__(self) -> str:
        """Return the name that ``parse`` takes; of a file, the file's."""
        if self.burstiness is not None:
            return f"{_GAMMA}{self.burstiness:g}"
        return self.source or self.process.value

    @property
    def own_requests_per_sec(self) -> float | None:
        """The rate of recorded times; None of the others, which have any rate."""
        if not self.times_s:
            return None
        return (len(self.times_s) - 1) / (self.times_s[-1] - self.times_s[0])

    @property
    def gap_cv2(self) -> float:
        """Squared coefficient of variation of the gaps: 1 of Poisson, 0 if even."""
        if self.process is ArrivalProcess.CONSTANT:
            return 0.0
        if self.burstiness is not None:
            return 1 / self.burstiness
        if self.times_s:
            gaps = [later - earlier for earlier, later in pairwise(self.times_s)]
            return pvariance(gaps) / fmean(gaps) ** 2
        return 1.0

    def part(self, share: float) -> Arrivals:
        """Return the arrivals at a replica of several, to which requests go by chance.

        Gaps are sums of a geometric number of those of all: bursts are thinned out,
        and even arrivals are uneven. Recorded times are replayed as they are.

        Args:
            share: Of all requests, in (0, 1].
        """
        is_poisson = self.process is ArrivalProcess.POISSON
        if share >= 1 or is_poisson or self.process is ArrivalProcess.TIMES:
            return self
        gap_cv2 = 1 + share * (self.gap_cv2 - 1)
        return Arrivals(process=ArrivalProcess.GAMMA, burstiness=1 / gap_cv2)


POISSON = Arrivals()


def as_arrivals(given: Arrivals | str) -> Arrivals:
    """Return arrivals from what is given for them.

    Raises:
        InvalidInputError: See ``Arrivals.parse``.
    """
    return given if isinstance(given, Arrivals) else Arrivals.parse(given)


def _burstiness(text: str, whole: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.01 <= value <= 1000:
        raise InvalidInputError(
            f"arrivals {quoted(whole)}: a burstiness is a number from 0.01 (few large "
            "bursts) over 1 (Poisson) to 1000 (nearly even), such as gamma:0.5"
        )
    return value


def _check_times(times: list[float] | tuple[float, ...], where: str) -> None:
    for index, time_s in enumerate(times):
        if not 0 <= time_s < math.inf:
            raise InvalidInputError(
                f"{where}: arrival time {index + 1} is {time_s:g} s; times are numbers "
                "from 0"
            )
        if index and time_s < times[index - 1]:
            raise InvalidInputError(
                f"{where}: arrival time {index + 1} is {time_s:g} s, before the one "
                f"ahead of it at {times[index - 1]:g} s; sort them"
            )
    if len(times) < 2 or times[-1] == times[0]:
        raise InvalidInputError(
            f"{where}: {len(times)} arrival times say no rate; give two or more that "
            "differ"
        )
