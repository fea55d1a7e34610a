"""Files of an answer: its placement as JSON, and the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gpupack.explore.jobs.asking import kept
from gpupack.explore.workers import Event
from gpupack.report.page.html import render_report

if TYPE_CHECKING:
    from gpupack.explore.workers import Bench


@dataclass(frozen=True, slots=True)
class WriteJob:
    """A file to be made of one answer, or of two.

    Args:
        what: ``"placement"`` for JSON, ``"report"`` for a page.
        answers: Ids of profiles and kept placements; the last is the answer, one
            before it is what a report compares it with.
    """

    what: Literal["placement", "report"]
    answers: tuple[tuple[str, bytes], ...]

    @property
    def data_ids(self) -> tuple[str, ...]:
        """The profiles that it needs."""
        return tuple(dict.fromkeys(data_id for data_id, _ in self.answers))

    def run(self, bench: Bench) -> None:
        """Tell ``file``, whose bytes are kept."""
        placements = [
            kept(pickled, bench.profiles(data_id)) for data_id, pickled in self.answers
        ]
        if self.what == "placement":
            text = placements[-1].to_json() + "\n"
        else:
            labels = ["pinned", "current"] if len(placements) > 1 else ["placement"]
            text = render_report(list(zip(labels, placements, strict=True)))
        bench.tell(Event("file", "{}", text.encode()))
