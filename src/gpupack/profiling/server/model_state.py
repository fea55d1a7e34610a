"""What a server says about one model: its state, and what it counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

READY = "READY"
LOADING = "LOADING"
UNLOADING = "UNLOADING"


@dataclass(frozen=True)
class RepositoryModel:
    """One model that the server's repository holds."""

    name: str
    state: str = ""
    """``READY``, ``LOADING``, ``UNLOADING``, ``UNAVAILABLE``; empty before a load."""
    reason: str = ""
    """Why it is not ready, in the server's words."""
    versions: tuple[int, ...] = ()
    """Those that are ready, as far as the server tells."""

    @property
    def is_ready(self) -> bool:
        """Whether it answers requests."""
        return self.state == READY

    @property
    def is_held(self) -> bool:
        """Whether its processes are there: it is ready, or on its way out."""
        return self.state in (READY, UNLOADING)


@dataclass(frozen=True)
class ModelStatistics:
    """The server's own counters of one model, since it was started."""

    num_requests: int = 0
    queue_ns: int = 0
    compute_input_ns: int = 0
    compute_infer_ns: int = 0
    compute_output_ns: int = 0
    num_cache_hits: int = 0
    """Requests that were answered from the response cache."""

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> ModelStatistics:
        """Return what the server counted, over all versions of a model."""
        total = dict.fromkeys(
            ("queue", "compute_input", "compute_infer", "compute_output"), 0
        )
        num_requests = num_cache_hits = 0
        for version in answer.get("model_stats", []):
            counters = version.get("inference_stats", {})
            num_requests += int(counters.get("success", {}).get("count", 0))
            num_cache_hits += int(counters.get("cache_hit", {}).get("count", 0))
            for name in total:
                total[name] += int(counters.get(name, {}).get("ns", 0))
        return cls(
            num_requests=num_requests,
            queue_ns=total["queue"],
            compute_input_ns=total["compute_input"],
            compute_infer_ns=total["compute_infer"],
            compute_output_ns=total["compute_output"],
            num_cache_hits=num_cache_hits,
        )

    def since(self, earlier: ModelStatistics) -> ModelStatistics:
        """Return what was counted after ``earlier``."""
        return ModelStatistics(
            num_requests=self.num_requests - earlier.num_requests,
            queue_ns=self.queue_ns - earlier.queue_ns,
            compute_input_ns=self.compute_input_ns - earlier.compute_input_ns,
            compute_infer_ns=self.compute_infer_ns - earlier.compute_infer_ns,
            compute_output_ns=self.compute_output_ns - earlier.compute_output_ns,
            num_cache_hits=self.num_cache_hits - earlier.num_cache_hits,
        )
