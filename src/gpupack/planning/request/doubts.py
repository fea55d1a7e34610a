"""What is asked that was perhaps not meant so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.records.gpu import Resource
from gpupack.spelling import setting

if TYPE_CHECKING:
    from gpupack.records.request import Request

LOW_HEADROOM = 0.5
"""Who lets less than half of a GPU be used may have meant to leave so much free."""


def headroom_doubts(request: Request) -> list[str]:
    """Return in words where a share to be used looks like a share to be left free."""
    asked = request.headroom
    shares = (
        [asked]
        if isinstance(asked, float)
        else [share for resource, share in asked if resource is Resource.MEMORY]
    )
    return [
        f"headroom {share:g} is the share that may be used, {100 * share:g} %; "
        f"if {100 * share:g} % are to stay free, give "
        f"{setting('headroom', round(1 - share, 6))}"
        for share in shares
        if share < LOW_HEADROOM
    ]
