from __future__ import annotations

from typing import Any


def tree_unflatten(leaves: list[Any], spec: str) -> Any:
    if spec == "in":
        return tuple(leaves), {}
    return leaves[0] if len(leaves) == 1 else tuple(leaves)
