"""What is said between the server and the processes that answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gpupack.profile_set import ProfileSet


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a job tells while it goes on.

    Args:
        name: What it is: ``answer``, ``clash``, ``change``, ….
        text: JSON for the page.
        kept: What the server keeps of it for later jobs, pickled; None if nothing.
    """

    name: str
    text: str
    kept: bytes | None = None


class Bench(Protocol):
    """What a job works with, in its process."""

    def profiles(self, data_id: str) -> ProfileSet:
        """Return profiles that the job named among its ``data_ids``."""
        ...

    def tell(self, event: Event) -> None:
        """Hand an event to the server; end the job if its question has changed."""
        ...


class Job(Protocol):
    """Something to be done in a process of its own; it is pickled."""

    @property
    def data_ids(self) -> tuple[str, ...]:
        """The profiles that it needs."""
        ...

    def run(self, bench: Bench) -> None:
        """Do it, and tell what comes of it.

        Raises:
            GpupackError: If it cannot be done; its message is told.
        """
        ...


@dataclass(frozen=True, slots=True)
class GiveData:
    """Profiles for the process to keep."""

    data_id: str
    pickled: bytes


@dataclass(frozen=True, slots=True)
class ForgetData:
    """Profiles that the process need not keep any more."""

    data_id: str


@dataclass(frozen=True, slots=True)
class StartJob:
    """A job to do, by a number that is used once."""

    number: int
    job: Job


@dataclass(frozen=True, slots=True)
class JobEvent:
    """An event of a job."""

    number: int
    event: Event


@dataclass(frozen=True, slots=True)
class JobEnd:
    """A job has ended, and the process waits for the next. Number 0: it has started.

    Args:
        number: Of the job.
        fault: What went wrong; empty if nothing.
        is_broken: Whether nobody expected it, so that the process ends: what is left
            of it is not to be trusted.
    """

    number: int
    fault: str = ""
    is_broken: bool = False
