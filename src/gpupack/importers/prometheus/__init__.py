"""What a running cluster measures of itself: Triton's and the DCGM exporter's metrics.

In: the address of a Prometheus server and a window of time, or saved texts of
``/metrics``. Out: an ``ObservedCluster``: demand by model over time, which model is on
which GPU, and estimates where a model had a GPU to itself. Nothing half-read comes out.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
