"""Whether a placement meets the demand that was asked for, and by how much not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.quoting import quoted
from gpupack.report.cautions import KEPT_TOLERANCE

if TYPE_CHECKING:
    from gpupack.records.placement import PlacementRecord


_LEAST_TOLD = 0.01
"""Less to spare is none."""


@dataclass(frozen=True, slots=True)
class DemandVerdict:
    """What the model that gets least of its demand gets.

    Args:
        model_name: That model.
        share: Of its demand, as served and as predicted, whichever is less; 0–1.
        num_short: Models that get less than all.
        num_demands: Models with a demand above 0.
        spare_ratio: By how much all demands could grow as traffic is shared out now,
            by what instances do alone and by sums of utilizations; at least 0.
    """

    model_name: str
    share: float
    num_short: int
    num_demands: int
    spare_ratio: float = 0.0

    @property
    def is_met(self) -> bool:
        """Whether every demand is met, as served and as predicted."""
        return self.num_short == 0

    def __str__(self) -> str:
        """Return ``"demand met: no, …"`` in half a sentence."""
        if not self.num_demands:
            return "demand met: yes, no traffic is asked for (demand 0)"
        if self.is_met and self.spare_ratio >= _LEAST_TOLD:
            spare = f"{self.spare_ratio:.0%} to spare as measured alone"
            return f"demand met: yes, with {spare}"
        if self.is_met:
            return "demand met: yes"
        return (
            f"demand met: no, {quoted(self.model_name)} gets {self.share:.0%} of it "
            f"({self.num_short} of {self.num_demands} models get less than all)"
        )


def demand_verdict(placement: PlacementRecord) -> DemandVerdict | None:
    """Return whether every demand is met; None where none was asked for or is known."""
    request = placement.request
    if request is None:
        return None
    names = {name for gpu in placement.gpus.runs for name in gpu.models}
    names |= {*request.models, *(one.model_name for one in placement.profiles)}
    asked = {
        name: demand * request.growth
        for name in names
        if (demand := request.of_model(name).demand) is not None
    }
    if not asked:
        return None
    demands = {name: demand for name, demand in asked.items() if demand}
    if not demands:
        return DemandVerdict(min(asked), share=1.0, num_short=0, num_demands=0)
    reached = dict.fromkeys(demands, 0.0)
    for gpu in placement.gpus.runs:
        for one in gpu.assignments:
            if one.model_name in reached:
                served = one.served_infer_per_sec or 0.0
                predicted = one.predicted_infer_per_sec
                reached[one.model_name] += gpu.num_gpus * (
                    served if predicted is None else min(served, predicted)
                )
    shares = {name: reached[name] / demands[name] for name in demands}
    worst = min(sorted(shares), key=lambda name: shares[name])
    return DemandVerdict(
        model_name=worst,
        share=min(1.0, shares[worst]),
        num_short=sum(share < 1 - KEPT_TOLERANCE for share in shares.values()),
        num_demands=len(demands),
        spare_ratio=_spare_ratio(placement),
    )


def _spare_ratio(placement: PlacementRecord) -> float:
    """Return by how much all traffic could grow where it is, as measured alone."""
    ratios = [
        one.throughput_infer_per_sec / one.served_infer_per_sec
        for gpu in placement.gpus.runs
        for one in gpu.assignments
        if one.served_infer_per_sec and one.throughput_infer_per_sec
    ]
    ratios += [
        use.limit / use.used
        for gpu in placement.gpus.runs
        for use in gpu.resources
        if not use.resource.is_held and use.limit is not None and use.used
    ]
    return max(0.0, min(ratios, default=1.0) - 1)
