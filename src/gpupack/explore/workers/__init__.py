"""Processes that answer questions, so that the page never waits.

In: a job (``WorkerPool.run``). Out: events as they come, and how the job ended. A job
whose question has changed is interrupted; a process that does not hear it is replaced.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
