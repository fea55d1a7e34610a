"""A running Triton server, as its model control and statistics show it.

In: a URL, with ``TlsOptions``. Out: a ``TritonServer`` that loads, unloads and
describes models (``ModelSignature``); its failures in words. Only this package and
the requests of ``load`` import ``tritonclient``.
"""
