"""From wishes about shared GPUs to a rule that the packing engine can follow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError, UnknownNameError
from gpupack.given_numbers import real_number
from gpupack.planning.contention import (
    DEFAULT_RETENTION_MARGINS,
    SHARING_SHAPES,
    UNPROBED_MPS_MARGIN,
    customer_class,
    default_contention_factor,
    has_readings,
)
from gpupack.planning.delays import PROCESSOR_SHARING, SharingShape
from gpupack.planning.traffic import class_at_load, limits_beside, share_of_traffic
from gpupack.quoting import quoted, quoted_all
from gpupack.records.environment import SharingMode
from gpupack.records.gpu import DeviceKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.profile_set import ProfileSet
    from gpupack.records.gpu import GpuType
    from gpupack.records.profile import ProfileRecord

MinRetentionLike = float | Mapping[str, float]
"""The share of its solo throughput that every model keeps, or one by model name."""


MAX_LOSS_FACTOR = 4.0
"""The most that a small predicted loss was exceeded by on an H200."""


@dataclass(frozen=True, slots=True)
class Contention:
    """How models share a GPU, and how strongly they slow each other down.

    Args:
        sharing_mode: None on the host device.
        factor: The contention factor.
        shape: Who waits how much for whom.
        margin: What a predicted retention must have to spare over the asked-for one.
        num_sets: Measured sets that the factor was fitted to; 0 for a default.
        warnings: What a reader of the prediction should know.
    """

    sharing_mode: SharingMode | None
    factor: float
    shape: SharingShape = PROCESSOR_SHARING
    margin: float = 0.0
    num_sets: int = 0
    warnings: tuple[str, ...] = ()


def resolve_contention(
    profiles: ProfileSet, gpu_type: GpuType, sharing: SharingMode | str | None
) -> Contention:
    """Return the calibrated factor of this GPU type and way of sharing.

    Where the profiles hold none, gpupack's default for the way of sharing; with a
    warning if there are calibrations, but of another GPU type or way.

    Args:
        profiles: May hold calibrations.
        gpu_type: The GPUs that models shall share.
        sharing: None takes time slicing, what separate processes do by default.

    Raises:
        UnknownNameError: If there is no such way of sharing.
    """
    if gpu_type.kind is DeviceKind.HOST:
        return Contention(
            None, default_contention_factor(gpu_type.kind, SharingMode.TIME_SLICING)
        )
    mode = resolve_sharing(sharing)
    default_margin = DEFAULT_RETENTION_MARGINS[mode]
    warnings: tuple[str, ...] = ()
    unprobed = {
        record.model_name
        for record in profiles.records
        if record.probe is None and record.gpu_type.name == gpu_type.name
    }
    if mode is SharingMode.MPS and unprobed:
        default_margin = UNPROBED_MPS_MARGIN
        warnings = (
            f"the profiles of {len(unprobed)} models, such as {min(unprobed)}, hold no "
            "readings of the kernel probe, without which retention under MPS is "
            "predicted less well; measure them with `gpupack profile --sharing mps`",
        )
    fitted = [one for one in profiles.calibrations if one.key == (gpu_type.name, mode)]
    if fitted:
        margin = fitted[-1].retention_margin_ratio
        return Contention(
            mode,
            fitted[-1].contention_factor,
            shape=SHARING_SHAPES[mode],
            margin=default_margin if margin is None else margin,
            num_sets=fitted[-1].num_sets,
            warnings=warnings,
        )
    factor = default_contention_factor(gpu_type.kind, mode)
    others = sorted(
        {f"{one.gpu_type_name} ({one.sharing_mode})" for one in profiles.calibrations}
    )
    if others:
        warnings += (
            f"the profiles are calibrated for {', '.join(others)}, not for "
            f"{gpu_type.name} ({mode}): its predictions use gpupack's default "
            f"contention factor {factor:g}; run `gpupack calibrate` on that GPU",
        )
    return Contention(
        mode,
        factor,
        shape=SHARING_SHAPES[mode],
        margin=default_margin,
        warnings=warnings,
    )


def resolve_sharing(sharing: SharingMode | str | None) -> SharingMode:
    """Return the way of sharing of that name; time slicing if None.

    Raises:
        UnknownNameError: If there is none; names those there are.
    """
    if sharing is None:
        return SharingMode.TIME_SLICING
    return SharingMode.parse(sharing)


def resolve_min_retention(
    min_retention: MinRetentionLike | None, model_names: Sequence[str]
) -> dict[str, float]:
    """Return what each model shall keep, by name; empty if nothing was asked for.

    Raises:
        UnknownNameError: If a model has no profile.
        InvalidInputError: If a share is not above 0 and at most 1.
    """
    if min_retention is None:
        return {}
    if isinstance(min_retention, Mapping):
        unknown = sorted(set(min_retention) - set(model_names), key=str)
        if unknown:
            raise UnknownNameError(
                f"min_retention names {quoted_all(unknown)}, which has no profile; "
                f"there are {quoted_all(sorted(set(model_names)))}"
            )
        wanted = dict(min_retention)
    else:
        wanted = dict.fromkeys(model_names, min_retention)
    shares = {}
    for name, value in wanted.items():
        share = real_number(value)
        if share is None:
            raise InvalidInputError(
                f"min_retention of {quoted(name)} is {quoted(value)}; it must be a "
                "number, such as 0.9"
            )
        if not 0 < share <= 1:
            reason = (
                "no model keeps more than it has alone"
                if share > 1
                else "it must be above 0"
            )
            raise InvalidInputError(
                f"min_retention of {quoted(name)} is {share:g}, but {reason}; give a "
                "share above 0 and at most 1, such as 0.9"
            )
        shares[name] = share
    return shares


def cautious_retention(predicted: float, margin: float) -> float:
    """Return what may be promised where so much is predicted.

    The margin less, but never a loss of more than ``MAX_LOSS_FACTOR`` times the
    predicted one: models that hardly meet have nothing to lose.
    """
    return max(predicted - margin, 1 - MAX_LOSS_FACTOR * (1 - predicted), 0.0)


class RetentionRule:
    """Which records may share a GPU: those predicted to keep what was asked.

    Args:
        records: Item i of the packing problem is record i.
        contention: How the GPUs are shared.
        min_retention: By model name; models not named may lose anything.
        weights: Of one infer/sec, by model name; 1 for models not named.
        loads: The most traffic that each record can be given ÷ its throughput, 0–1; 1
            if left out. What is kept is a share of the traffic then.

    Raises:
        MissingReadingError: If a record lacks what the prediction needs.
    """

    def __init__(
        self,
        records: Sequence[ProfileRecord],
        contention: Contention,
        min_retention: Mapping[str, float],
        weights: Mapping[str, float] | None = None,
        loads: Sequence[float] | None = None,
    ) -> None:
        self._contention = contention
        self._classes = [
            customer_class(record, contention.factor, contention.shape)
            for record in records
        ]
        self._alone = [record.requests_per_sec or 0.0 for record in records]
        self._loads = list(loads or [1.0] * len(records))
        self._at_traffic = [
            class_at_load(
                one,
                alone,
                load,
                contention_factor=contention.factor,
                shape=contention.shape,
            )
            for one, alone, load in zip(
                self._classes, self._alone, self._loads, strict=True
            )
        ]
        self._floors = [min_retention.get(record.model_name, 0.0) for record in records]
        self._throughputs = [
            (record.throughput_infer_per_sec or 0.0)
            * (weights or {}).get(record.model_name, 1.0)
            for record in records
        ]
        self._known: dict[tuple[int, ...], tuple[float, ...]] = {}

    def retentions(self, items: tuple[int, ...]) -> tuple[float, ...]:
        """Return what each of these items keeps beside the others, in order."""
        return tuple(
            share_of_traffic(share, self._loads[item])
            for share, item in zip(self._solo_shares(items), items, strict=True)
        )

    def is_allowed(self, counts: tuple[tuple[int, int], ...]) -> bool:
        """Return whether every model of a set keeps what was asked, with the margin."""
        items = _expand(counts)
        margin = self._contention.margin
        return len(items) == 1 or all(
            share_of_traffic(cautious_retention(share, margin), self._loads[item])
            >= self._floors[item]
            for share, item in zip(self._solo_shares(items), items, strict=True)
        )

    def throughput(self, counts: tuple[tuple[int, int], ...]) -> float:
        """Return the predicted total throughput of a set, weighted, in infer/sec."""
        items = _expand(counts)
        return math.fsum(
            kept * self._throughputs[item]
            for kept, item in zip(self.retentions(items), items, strict=True)
        )

    def _solo_shares(self, items: tuple[int, ...]) -> tuple[float, ...]:
        """Return how much of its throughput alone each item could reach, 0–1."""
        if len(items) == 1:
            return (1.0,)
        known = self._known.get(items)
        if known is None:
            limits = limits_beside(
                [self._classes[item] for item in items],
                [self._at_traffic[item] for item in items],
                contention_factor=self._contention.factor,
                shape=self._contention.shape,
            )
            known = tuple(
                min(1.0, limit / self._alone[item])
                for limit, item in zip(limits, items, strict=True)
            )
            self._known[items] = known
        return known


def retentions_or_none(
    records: Sequence[ProfileRecord],
    contention: Contention,
    loads: Sequence[float] | None = None,
) -> tuple[float, ...] | None:
    """Return what each record keeps beside the others, None if that is unknown.

    Args:
        records: Of the instances on one GPU.
        contention: How they share it.
        loads: Traffic ÷ throughput of each, 0–1; 1 if left out.
    """
    if not all(has_readings(record) for record in records):
        return None
    rule = RetentionRule(records, contention, {}, loads=loads)
    return rule.retentions(tuple(range(len(records))))


def _expand(counts: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    return tuple(index for index, copies in counts for _ in range(copies))
