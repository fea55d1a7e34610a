"""The one list of targets."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from gpupack.deploying.targets.compose import ComposeTarget
from gpupack.deploying.targets.dra import DraTarget
from gpupack.deploying.targets.helm import HelmTarget
from gpupack.deploying.targets.kubernetes import KubernetesTarget
from gpupack.deploying.targets.triton import TritonTarget
from gpupack.errors import UnknownNameError
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpupack.deploying.targets.target import Target

_ALL: tuple[Target, ...] = (
    TritonTarget(),
    ComposeTarget(),
    KubernetesTarget(),
    HelmTarget(),
    DraTarget(),
)
TARGETS: Mapping[str, Target] = MappingProxyType({one.name: one for one in _ALL})
"""By the name that ``--to`` takes."""


def find_target(name: str) -> Target:
    """Return the target of that name.

    Raises:
        UnknownNameError: If there is none; names those there are.
    """
    found = TARGETS.get(name) if isinstance(name, str) else None
    if found is None:
        raise UnknownNameError(
            f"unknown target {quoted(name)}; there are {', '.join(TARGETS)}"
        )
    return found
