"""Model files without a repository: read, written into one, set up and served.

In: paths of ONNX files, TorchScript, ``torch.export`` programs and checkpoints, and
``ModelFileOptions``. Out: a ``FileRepository`` that the embedded server serves, and the
files that cannot be served, each with why. Whatever runs a file runs in the models' own
Python, never in gpupack's.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
