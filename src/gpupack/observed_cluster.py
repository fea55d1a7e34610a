"""What a cluster was seen doing, as one holds it: records with a readable text."""

from __future__ import annotations

from gpupack.records.running.observed_cluster import ObservedClusterRecord
from gpupack.report.page.rightsizing import format_cluster
from gpupack.report.summary import count_of


class ObservedCluster(ObservedClusterRecord):
    """Demand by model over time, which model was on which GPU, and estimates.

    ``print(cluster)`` shows demand and today's placement as tables.
    """

    def __str__(self) -> str:
        """Return demand, GPUs and what is not known as readable text."""
        return format_cluster(self)

    def __repr__(self) -> str:
        """Return one short line, however many models and GPUs there are."""
        window = self.window
        return (
            f"<ObservedCluster: {count_of(len(self.demands), 'model')} on "
            f"{count_of(len(self.gpus), 'GPU')}, {window.start:%Y-%m-%d %H:%M} to "
            f"{window.end:%Y-%m-%d %H:%M} UTC>"
        )
