"""Configurations of a model, as exports and tables describe them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from gpupack.importers.tables.cells import is_missing
from gpupack.records.profile import ModelVariant

if TYPE_CHECKING:
    from collections.abc import Sequence

_GROUP = re.compile(r"(\d{1,6})\s*[:/x×]?\s*(?:KIND_)?(GPU|CPU|AUTO|MODEL)S?", re.I)
_NUMBER = re.compile(r"\d{1,9}")
_NO_BATCHING = frozenset(["disabled", "no", "false", "off"])
_BATCHING = frozenset(["enabled", "yes", "true", "on"])


@lru_cache(maxsize=10_000)
def variant_of(
    name: str,
    *,
    instance_group: str = "",
    max_batch_size: str = "",
    dynamic_batching: str = "",
    preferred_batch_sizes: str = "",
) -> ModelVariant:
    """Return what a row says of a model's configuration.

    Args:
        name: The configuration's, with what it calls behind a colon:
            ``"pipeline_config_3: prep_config_1, core_config_2"``.
        instance_group: ``"2:GPU"``, or one for each of the called: ``"4:GPU,1:CPU"``.
        max_batch_size: ``"8"``, or one for each of the called.
        dynamic_batching: ``"Enabled"``, ``"Disabled"`` or preferred sizes.
        preferred_batch_sizes: ``"[4 8]"``.
    """
    top, colon, rest = name.partition(":")
    called = [one.strip() for one in rest.split(",") if one.strip()] if colon else []
    groups = [one.strip() for one in instance_group.split(",")]
    sizes = [one.strip() for one in max_batch_size.split(",")]
    if called:
        return ModelVariant(
            name=top.strip() or name,
            composing=tuple(
                _variant(one, _nth(groups, index), _nth(sizes, index))
                for index, one in enumerate(called)
            ),
        )
    text = dynamic_batching.strip().casefold()
    preferred = tuple(
        int(one)
        for one in _NUMBER.findall(f"{dynamic_batching} {preferred_batch_sizes}")
    )
    has_batching: bool | None = None
    if text in _NO_BATCHING:
        has_batching = False
    elif text in _BATCHING or preferred:
        has_batching = True
    return _variant(name, groups[0], sizes[0]).model_copy(
        update={
            "has_dynamic_batching": has_batching,
            "preferred_batch_sizes": preferred if has_batching else (),
        }
    )


def _variant(name: str, group: str, size: str) -> ModelVariant:
    num_gpu, num_cpu = num_instances(group)
    is_size = bool(_NUMBER.fullmatch(size))
    return ModelVariant(
        name=name.strip(),
        num_gpu_instances=num_gpu,
        num_cpu_instances=num_cpu,
        max_batch_size=int(size) if is_size else None,
    )


@lru_cache(maxsize=10_000)
def num_instances(group: str) -> tuple[int | None, int | None]:
    """Return how many copies run on each GPU and how many on CPUs; None if unsaid."""
    found = _GROUP.findall(group)
    if is_missing(group) or not found:
        return None, None
    num_gpu = sum(int(num) for num, kind in found if kind.upper() != "CPU")
    num_cpu = sum(int(num) for num, kind in found if kind.upper() == "CPU")
    return num_gpu, num_cpu


def _nth(parts: Sequence[str], index: int) -> str:
    return parts[index] if index < len(parts) else ""
