"""Variants of a model on one GPU: a server has one configuration of each model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.packing import Rule
    from gpupack.planning.request import Wishes
    from gpupack.records.profile import ProfileRecord


def one_variant_each(
    records: Sequence[ProfileRecord], wishes: Wishes, rule: Rule | None
) -> Rule | None:
    """Return a rule by which instances of a model on one GPU are of one variant.

    Args:
        records: Option i of the packing problem is record i.
        wishes: Say of which models there may be several instances.
        rule: What has to hold besides; None for nothing.

    Returns:
        None, or ``rule``, where no model could be mixed: rules cost proofs.
    """
    variants: dict[str, list[str]] = {}
    for record in records:
        may_repeat = (
            record.model_name in wishes.demand
            or wishes.replicas.get(record.model_name, 1) > 1
        )
        if may_repeat:
            variants.setdefault(record.model_name, []).append(variant_text(record))
    mixed = {name for name, found in variants.items() if len(set(found)) > 1}
    if not mixed:
        return rule
    of_option = [
        (one.model_name, variant_text(one)) if one.model_name in mixed else None
        for one in records
    ]

    def is_allowed(bin_type: int, counts: tuple[tuple[int, int], ...]) -> bool:
        chosen: dict[str, str] = {}
        for option, _ in counts:
            found = of_option[option]
            if found is not None and chosen.setdefault(*found) != found[1]:
                return False
        return rule is None or rule(bin_type, counts)

    return is_allowed


def variant_text(record: ProfileRecord) -> str:
    """Return a record's variant in words; empty if it has none."""
    variant = record.load_point.variant
    return "" if variant is None else str(variant)
