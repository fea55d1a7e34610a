"""What a model and a process of short kernels do to each other on the GPU.

In: a model that is being driven. Out: readings for its record, by which predictions
know how it will get on with neighbors: ``ProbeReadings`` where processes share the GPU
through MPS, ``TurnReadings`` where they take turns.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
