"""Ask "what if" in a page: a server for this machine alone, and what it solves.

In: profiles, a request to start from, and where to listen (``ExploreOptions``). Out: a
page whose every answer is what ``place()`` gives. Processes of their own answer, so
that the page never waits; nothing is kept on disk.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
