"""The frontier as a map, filled in step by step."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.errors import GpupackError
from gpupack.explore.jobs.asked_for import read_asked
from gpupack.explore.jobs.asking import plain_json
from gpupack.explore.workers import Event
from gpupack.planning import frontier
from gpupack.quoting import printable
from gpupack.records.request import ContentionRule

if TYPE_CHECKING:
    from gpupack.explore.workers import Bench
    from gpupack.placement import Placement
    from gpupack.records.frontier import FrontierPoint

TOTAL_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class FrontierJob:
    """The trade-off between hardware and what is served.

    Args:
        data_id: Of the profiles.
        request: What is asked, as JSON; its budgets are the frontier's.
        by: ``"gpus"`` or ``"price"``.
    """

    data_id: str
    request: str
    by: str

    @property
    def data_ids(self) -> tuple[str, ...]:
        """The profiles that it needs."""
        return (self.data_id,)

    def run(self, bench: Bench) -> None:
        """Tell ``point`` by point, ``progress`` between, and ``end``."""
        try:
            request = read_asked(self.request).model_copy(
                update={
                    "max_gpus": None,
                    "max_price_per_hour": None,
                    "contention": ContentionRule.PLAIN,
                }
            )
            found = frontier(
                bench.profiles(self.data_id),
                request,
                by=self.by,
                find_headroom=False,
                total_time_limit_s=TOTAL_LIMIT_S,
                progress=lambda done, total, text: _tell(
                    bench, "progress", done=done, total=total, text=text
                ),
                found=lambda point, placement: _tell(
                    bench, "point", **_point(point, placement)
                ),
            )
        except GpupackError as err:
            _tell(bench, "refused", message=printable(str(err)))
            return
        _tell(
            bench,
            "end",
            num_not_tried=len(found.budgets_not_tried),
            num_not_placed=len(found.budgets_not_placed),
            wanted=found.wanted_infer_per_sec,
        )


def _point(point: FrontierPoint, placement: Placement) -> dict[str, object]:
    kept = [
        one.retention
        for gpu in placement.gpus.runs
        for one in gpu.assignments
        if one.retention is not None
    ]
    shares = point.served_share
    return {
        "gpus": point.num_gpus,
        "price": point.price_per_hour,
        "served": math.fsum(shares.values()) / len(shares) if shares else 1.0,
        "worst_served": point.worst_served_share,
        "worst_kept": min(kept) if kept else None,
        "infer_per_sec": point.throughput_infer_per_sec,
        "is_proved": placement.gap == 0,
        "label": point.label or "",
        "request": None
        if placement.request is None
        else json.loads(plain_json(placement.request)),
    }


def _tell(bench: Bench, name: str, **values: object) -> None:
    bench.tell(Event(name, json.dumps(values, ensure_ascii=False)))
