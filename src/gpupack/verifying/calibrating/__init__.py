"""How strongly models slow each other down on a GPU: fitted to what was measured.

In: what ``verify()`` or others measured of the user's models (``calibrate``), or a GPU
on which to measure gpupack's own (``quick_calibrate``). Out: a ``Calibration``, which
``place()`` finds in a profile file.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
