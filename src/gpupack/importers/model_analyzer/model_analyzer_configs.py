"""A model's configuration, as the rows of Model Analyzer's tables describe it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpupack.errors import ProfileDataError
from gpupack.importers.agreement.repeats import are_within_noise
from gpupack.importers.tables.variants import num_instances, variant_of
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.importers.model_analyzer.model_analyzer_rows import MeasuredRow
    from gpupack.records.profile import ModelVariant

_COUNTS = re.compile(r"\d+")


class Setups:
    """What rows say of a variant: told once for all loads that it was driven at."""

    def __init__(self) -> None:
        self._known: dict[object, tuple[ModelVariant | None, dict[str, int]]] = {}

    def of(
        self, rows: Sequence[MeasuredRow], *, are_joined: bool
    ) -> tuple[ModelVariant | None, dict[str, int]]:
        """Return the variant, and how many copies run as the record's field.

        Args:
            rows: Of one variant; those of a table share what they say of it.
            are_joined: Whether they are of one load, too, from several tables.

        Raises:
            ProfileDataError: If joined rows contradict each other.
        """
        key: list[object] = [are_joined]
        for row in rows:
            key += (row.variant, id(row.attributes))
        known = self._known.get(tuple(key))
        if known is None:
            if are_joined:
                _require_agreement(rows)
            known = _described_variant(rows), _described_instances(rows)
            self._known[tuple(key)] = known
        return known


def told_of_repeats(model: str, points: Sequence[Sequence[MeasuredRow]]) -> str:
    """Return what there is to say of load points of which several rows tell.

    Args:
        model: Whose they are.
        points: The rows of each.

    Raises:
        ProfileDataError: If rows of one variant and load are of different
            configurations: of two searches, which both number theirs from 0.
    """
    for rows in points:
        _require_agreement([row for row in rows if row.variant])
    several = "a load point has" if len(points) == 1 else f"{len(points)} have"
    first, last = points[0][0], points[0][-1]
    told = f"{quoted(model)}: {several} several rows"
    taken = "the row with the most throughput was taken"
    if all(_are_repeats(rows) for rows in points):
        return f"{told}, within noise of each other: {taken}"
    names = ("throughput_infer_per_sec", *first.values)
    differing = next(
        (one for one in names if first.values.get(one) != last.values.get(one)),
        names[0],
    )
    figures = (
        f"{differing} is {_shown(first, differing)} in {first.where} and "
        f"{_shown(last, differing)} in {last.where}"
    )
    if not first.variant:
        return (
            f"{told}, of configurations that the table does not name (Model Analyzer's "
            f"output field model_config_path): {taken}; {figures}"
        )
    return (
        f"{told}, as those of a BLS or ensemble model whose called models were varied; "
        f"the export does not say how (the checkpoint may): {taken}. If it calls no "
        f"models, two runs are mixed, and one of them is to be removed: {figures}"
    )


def _are_repeats(rows: Sequence[MeasuredRow]) -> bool:
    return all(
        are_within_noise(name, [row.values[name] for row in rows if name in row.values])
        for name in rows[0].values
    )


def _shown(row: MeasuredRow, name: str) -> str:
    value = row.values.get(name)
    return "not given" if value is None else f"{value:g}"


def _require_agreement(rows: Sequence[MeasuredRow]) -> None:
    """Check that rows of one variant, load and model are of one configuration.

    Raises:
        ProfileDataError: Naming both rows.
    """
    for name in ("instance_group", "max_batch_size"):
        told = [(row.attributes[name], row) for row in rows if name in row.attributes]
        for text, row in told[1:]:
            # The numbers: releases write "2:GPU" and "2/GPU".
            if _COUNTS.findall(text) != _COUNTS.findall(told[0][0]):
                raise ProfileDataError(
                    f"{row.where}: {name} of {quoted(row.variant or row.model)} is "
                    f"{quoted(text)}, but {quoted(told[0][0])} in {told[0][1].where}; "
                    "give the tables of one run"
                )


def _described_variant(rows: Sequence[MeasuredRow]) -> ModelVariant | None:
    """Return the variant, from whatever row says most of it."""
    name = next((row.variant for row in rows if row.variant), "")
    if not name:
        return None
    attributes: dict[str, str] = {}
    for row in rows:
        attributes = dict(row.attributes) | attributes
    return variant_of(name, **attributes)


def _described_instances(rows: Sequence[MeasuredRow]) -> dict[str, int]:
    """Return how many copies of a model of its own run; a caller's are its parts'."""
    groups = [row.attributes.get("instance_group", "") for row in rows]
    group = next((one for one in groups if one), "")
    if not group or "," in group:
        return {}
    num_gpu, num_cpu = num_instances(group)
    num = num_gpu or num_cpu
    return {"num_model_instances": num} if num else {}
