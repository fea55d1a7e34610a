"""Models that come with gpupack: synthetic kernels and two small networks.

Out: a model repository for the embedded server, which needs no framework: the models
talk to the GPU's driver themselves, and compute on the host with NumPy where there is
no GPU. They are small, known and the same everywhere, so that what they lose beside
each other tells of the GPU and not of them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
