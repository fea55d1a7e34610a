"""Local search over given bins: some are emptied and filled again.

In: what is planned, prices, and numbers of bins. Out: what they are filled with, and
what jobs then lack.
"""

from gpupack.packing.capacity.improving.refilling.refiller import (
    Refilled,
    Refiller,
    emphasized,
)

__all__ = ["Refilled", "Refiller", "emphasized"]
