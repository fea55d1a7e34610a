"""What the page can have done: each a job for a process of its own.

In: what is wanted, small enough to be sent (``AskJob``, ``FrontierJob``, ``ReadJob``,
``WriteJob``). Out: events, as they come.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
