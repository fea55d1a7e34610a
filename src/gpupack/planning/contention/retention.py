# Long because how models share, the wish about it and its rule stand together.
"""From wishes about shared GPUs to a rule that the packing engine can follow.

And what is predicted of a placement: what its models keep, in this way of sharing and
in others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean
from typing import TYPE_CHECKING

from gpupack.catalogue import MEMORY_MIB_BY_NAME, card_called
from gpupack.planning.contention.delays import PROCESSOR_SHARING, SharingShape
from gpupack.planning.contention.host_station import (
    HostStation,
    held_up,
    host_class,
    traffic_of,
)
from gpupack.planning.contention.latency_prediction import (
    ARRIVALS_SHARES,
    DEFAULT_LATENCY_MARGINS,
    FORMER_ARRIVALS_SHARES,
    ROUND_ROBIN,
    LatencyLimits,
)
from gpupack.planning.contention.latency_rule import LatencyRule
from gpupack.planning.contention.network import (
    classes_at_load,
    delays_among,
    limits_beside,
    shares_of_traffic,
)
from gpupack.planning.contention.prediction import (
    DEFAULT_CONTENTION_FACTORS,
    DEFAULT_RETENTION_MARGINS,
    FORMER_RETENTION_MARGINS,
    FORMER_SHAPES,
    HOST_CONTENTION_FACTOR,
    LAWS,
    SHARING_SHAPES,
    UNPROBED_MPS_MARGIN,
    EqualInstances,
    customer_classes,
    has_all_readings,
)
from gpupack.records.calibration import CalibrationMethod
from gpupack.records.environment import SharingMode
from gpupack.records.gpu import DeviceKind
from gpupack.records.placement import SharingAlternative
from gpupack.units import bytes_from_mib

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpupack.planning.contention.delays import CustomerClass
    from gpupack.planning.contention.network import Delays
    from gpupack.profile_set import ProfileSet
    from gpupack.records.calibration import Calibration
    from gpupack.records.gpu import GpuType
    from gpupack.records.profile import ProfileRecord

Counts = tuple[tuple[int, int], ...]
"""Pairs (item, number of copies ≥ 1), by item."""

DEFAULTS_CARD = "H200"
"""The card that the default factors and margins were fitted on."""
OTHER_CARD_MARGINS = 1.5
"""Margins are so much wider on another card, where nothing is known of it: a judgement,
not a measurement."""
MAX_LOSS_FACTOR = 4.0
"""The most that a small predicted loss was exceeded by on an H200."""
MAX_KNOWN_SETS = 100_000
"""Predictions kept, so that none is made twice; some 100 MB at most."""
MAX_TABLED = 300
"""Of so many records the delays are kept, of every two: some 10 MB."""
MAX_PREDICTED_KINDS = 1_000
"""Different instances on one GPU; a prediction for so many takes half a second."""


@dataclass(frozen=True, slots=True)
class Contention:
    """How models share a GPU, and how strongly they slow each other down.

    Args:
        sharing_mode: None on the host device.
        factor: The contention factor.
        shape: Who waits how much for whom.
        margin: What a predicted retention must have to spare over the asked-for one.
        latency_margin: By this share of itself a predicted latency is to be below its
            limit.
        num_sets: Measured sets that the factor was fitted to; 0 for a default.
        law: The number of the law that the factor is of; None is today's.
        basis: What the factor and margins rest on, in words; empty on the host.
        host_cores: Of the host, for the models of each GPU; None: they do not run out.
        warnings: What a reader of the prediction should know.
    """

    sharing_mode: SharingMode | None
    factor: float
    shape: SharingShape = PROCESSOR_SHARING
    margin: float = 0.0
    latency_margin: float = DEFAULT_LATENCY_MARGINS[SharingMode.TIME_SLICING]
    num_sets: int = 0
    law: int | None = None
    basis: str = ""
    host_cores: float | None = None
    warnings: tuple[str, ...] = ()

    @property
    def factor_of_arrivals(self) -> float:
        """The contention factor of requests that arrive, with pauses between them."""
        if self.sharing_mode is None:
            return self.factor
        share = ARRIVALS_SHARES[self.sharing_mode]
        if self.law is not None:
            share = FORMER_ARRIVALS_SHARES.get((self.sharing_mode, self.law), share)
        return share * self.factor

    @property
    def shape_of_arrivals(self) -> SharingShape:
        """Who of the requests that arrive waits how much for whom."""
        if self.sharing_mode is SharingMode.TIME_SLICING:
            return ROUND_ROBIN
        return self.shape


def resolve_contention(
    profiles: ProfileSet,
    gpu_type: GpuType,
    sharing: SharingMode | str | None,
    *,
    host_cores: float | None = None,
) -> Contention:
    """Return the calibrated factor of this GPU type and way of sharing.

    Where the profiles hold none, gpupack's default for the way of sharing, which is
    from an H200: on another card its margins are widened. With a warning if there are
    calibrations, but of another GPU type or way.

    Args:
        profiles: May hold calibrations.
        gpu_type: The GPUs that models shall share.
        sharing: None takes time slicing, what separate processes do by default.
        host_cores: Of the host, for the models of each GPU; None: they do not run out.

    Raises:
        UnknownNameError: If there is no such way of sharing.
    """
    if gpu_type.kind is DeviceKind.HOST:
        # With its cores known they are the only station: a host has no other.
        factor = HOST_CONTENTION_FACTOR if host_cores is None else 0.0
        return Contention(None, factor, host_cores=host_cores)
    mode = resolve_sharing(sharing)
    default_margin = DEFAULT_RETENTION_MARGINS[mode]
    warnings: tuple[str, ...] = ()
    unprobed = {
        record.model_name
        for record in (profiles.records if mode is SharingMode.MPS else ())
        if record.probe is None and record.gpu_type.name == gpu_type.name
    }
    if unprobed:
        default_margin = UNPROBED_MPS_MARGIN
        warnings = (
            f"the profiles of {len(unprobed)} models, such as {min(unprobed)}, hold no "
            "readings of the kernel probe, without which retention under MPS is "
            "predicted less well; measure them with `gpupack profile --sharing mps`",
        )
    fitted = _fitted_to(profiles, gpu_type, mode)
    if fitted:
        best = fitted[-1]
        margin = best.retention_margin_ratio
        evidence = _evidence(best)
        if best.law != LAWS[mode]:
            default_margin = FORMER_RETENTION_MARGINS.get(
                (mode, best.law), default_margin
            )
            evidence += f", by a former law of {mode}"
            warnings += (
                f"the calibration of {best.gpu_type_name} ({mode}) was made with a "
                "former law of how models share a GPU, and is used with it; run "
                "`gpupack calibrate` again: today's predicts better",
            )
        return Contention(
            mode,
            best.contention_factor,
            shape=FORMER_SHAPES.get((mode, best.law), SHARING_SHAPES[mode]),
            margin=default_margin if margin is None else margin,
            latency_margin=DEFAULT_LATENCY_MARGINS[mode],
            num_sets=best.num_sets,
            law=best.law,
            basis=f"calibrated on this GPU type ({evidence})",
            host_cores=host_cores,
            warnings=warnings,
        )
    factor = DEFAULT_CONTENTION_FACTORS[mode]
    others = sorted(
        {
            f"{one.gpu_type_name} ({one.sharing_mode})"
            for one in profiles.calibrations
            if _is_known(one)
        }
    )
    unknown = sorted(
        {
            one.gpu_type_name
            for one in profiles.calibrations
            if one.sharing_mode is mode and not _is_known(one)
        }
    )
    if unknown:
        warnings += (
            f"the calibration of {', '.join(unknown)} was made by a later gpupack, "
            "with a law of how models share a GPU that this one does not know: its "
            f"predictions use the default contention factor {factor:g}; update "
            "gpupack, or run `gpupack calibrate` again",
        )
    if others:
        warnings += (
            f"the profiles are calibrated for {', '.join(others)}, not for "
            f"{gpu_type.name} ({mode}): its predictions use gpupack's default "
            f"contention factor {factor:g}; run `gpupack calibrate` on that GPU",
        )
    basis, widened = f"{DEFAULTS_CARD} defaults", 1.0
    margin = default_margin
    card = card_called(gpu_type.name)
    if card is None:
        # A name of somebody's own may stand for any card, that one too.
        basis += f"; whether {gpu_type.name} is one, its name does not tell"
    elif card != DEFAULTS_CARD:
        widened = OTHER_CARD_MARGINS
        margin = min(1.0, widened * default_margin)
        basis += (
            f" on {gpu_type.name}: margin widened from {default_margin:g} to {margin:g}"
        )
    return Contention(
        mode,
        factor,
        shape=SHARING_SHAPES[mode],
        margin=margin,
        latency_margin=widened * DEFAULT_LATENCY_MARGINS[mode],
        basis=basis,
        host_cores=host_cores,
        warnings=warnings,
    )


def _evidence(calibration: Calibration) -> str:
    """Return what a calibration was fitted to, in words."""
    num = calibration.num_sets
    sets = f"{num} set{'' if num == 1 else 's'}"
    if calibration.method is CalibrationMethod.REFERENCE_MODELS:
        return f"{sets} of reference models"
    return sets


def _card_of(gpu_type: GpuType) -> str | None:
    """Return the catalogue's name of a whole card; None of parts and unknown ones."""
    card = card_called(gpu_type.name)
    if card is None:
        return None
    memory = bytes_from_mib(MEMORY_MIB_BY_NAME[card])
    return card if gpu_type.memory_bytes in (None, memory) else None


def _fitted_to(
    profiles: ProfileSet, gpu_type: GpuType, mode: SharingMode
) -> list[Calibration]:
    """Return what was fitted to this GPU type, whoever named it; the best last.

    A calibration may be under the driver's name of the card (``"NVIDIA H200"``) and
    the profiles under the catalogue's (``"H200"``). One under the very name of the
    profiles takes precedence.
    """
    of_mode = [
        one
        for one in profiles.calibrations
        if one.sharing_mode is mode and _is_known(one)
    ]
    if not of_mode:
        return []
    card = _card_of(gpu_type)
    same_card = [
        one
        for one in of_mode
        if card is not None
        and one.gpu_type_name != gpu_type.name
        and card_called(one.gpu_type_name) == card
    ]
    return same_card + [one for one in of_mode if one.gpu_type_name == gpu_type.name]


def _is_known(calibration: Calibration) -> bool:
    """Return whether the law that it was fitted with is known here."""
    mode, law = calibration.sharing_mode, calibration.law
    return law == LAWS[mode] or (mode, law) in FORMER_SHAPES


def resolve_sharing(sharing: SharingMode | str | None) -> SharingMode:
    """Return the way of sharing of that name; time slicing if None.

    Raises:
        UnknownNameError: If there is none; names those there are.
    """
    if sharing is None:
        return SharingMode.TIME_SLICING
    if isinstance(sharing, SharingMode):
        return sharing
    return SharingMode.parse(sharing)


def cautious_retention(predicted: float, margin: float) -> float:
    """Return what may be promised where so much is predicted.

    The margin less, but never a loss of more than ``MAX_LOSS_FACTOR`` times the
    predicted one: models that hardly meet have nothing to lose.
    """
    return max(predicted - margin, 1 - MAX_LOSS_FACTOR * (1 - predicted), 0.0)


@dataclass(frozen=True, slots=True)
class SharedGpu:
    """What shares one GPU, or each of several that hold the same.

    Args:
        measured_on: The GPU type that the records are of.
        records: Of each instance.
        loads: Traffic ÷ throughput of each, 0–1.
        num_gpus: How many hold the same.
        host_cores: Of the host, for each; None: they do not run out.
    """

    measured_on: GpuType
    records: tuple[ProfileRecord, ...]
    loads: tuple[float, ...]
    num_gpus: int = 1
    host_cores: float | None = None


class RetentionRule:
    """Which records may share a GPU: those predicted to keep what was asked.

    Args:
        records: Item i of the packing problem is record i.
        contention: How the GPUs are shared.
        min_retention: By model name; models not named may lose anything.
        weights: Of one infer/sec, by model name; 1 for models not named.
        loads: The most traffic that each record can be given ÷ its throughput, 0–1; 1
            if left out. What is kept is a share of the traffic then.
        latency: Which latencies are kept; None for any.

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
        latency: LatencyLimits | None = None,
    ) -> None:
        self._contention = contention
        self._classes = customer_classes(records, contention.factor, contention.shape)
        self._alone = [record.requests_per_sec or 0.0 for record in records]
        self._loads = list(loads or [1.0] * len(records))
        # Most placements are of models at all the traffic they were measured at.
        self._is_driven = all(load >= 1 for load in self._loads)
        self._at_traffic: Sequence[CustomerClass | None] = (
            self._classes
            if self._is_driven
            else classes_at_load(
                self._classes,
                self._alone,
                self._loads,
                contention_factor=contention.factor,
                shape=contention.shape,
            )
        )
        self._delays = self._delays_of_all() if len(records) <= MAX_TABLED else None
        self._floors = [min_retention.get(record.model_name, 0.0) for record in records]
        self._throughputs = [
            (record.throughput_infer_per_sec or 0.0)
            * (weights or {}).get(record.model_name, 1.0)
            for record in records
        ]
        self._known: dict[Counts, tuple[float, ...]] = {}
        cores = contention.host_cores
        self._host = None if cores is None else HostStation(cores)
        self._on_host = [host_class(record) for record in records] if cores else []
        self._traffic = traffic_of(self._alone, self._loads) if cores else []
        self._latency = (
            None
            if latency is None
            else LatencyRule(
                latency,
                records,
                self._classes,
                [
                    load * rate
                    for load, rate in zip(self._loads, self._alone, strict=True)
                ],
                contention_factor=contention.factor_of_arrivals,
                shape=contention.shape_of_arrivals,
                margin=contention.latency_margin,
                host=self._host,
            )
        )

    def _delays_of_all(self) -> Delays | None:
        """Return who waits how long for whom, once for all sets; None if unknown."""
        at_traffic = [one for one in self._at_traffic if one is not None]
        if not 1 < len(at_traffic) == len(self._classes):
            return None
        return delays_among(
            at_traffic,
            contention_factor=self._contention.factor,
            shape=self._contention.shape,
            own=self._classes,
        )

    def latencies_s(
        self, counts: Counts, percentiles: Sequence[float]
    ) -> list[tuple[float, ...]]:
        """Return the latency percentiles of an instance of each item, in seconds.

        Infinite of one without planned traffic, or that cannot serve it.
        """
        if self._latency is None:
            raise ValueError("no latency was asked for")
        return self._latency.latencies_s(counts, percentiles)

    def latencies_by_rule_s(
        self, counts: Counts, percentiles: Sequence[float]
    ) -> list[tuple[float, ...]]:
        """Return what the rule goes by: latencies that every model added makes longer.

        Those of ``latencies_s`` are nearer to what is measured.
        """
        if self._latency is None:
            raise ValueError("no latency was asked for")
        return self._latency.latencies_by_rule_s(counts, percentiles)

    def retentions(self, counts: Counts) -> tuple[float, ...]:
        """Return what an instance of each of these items keeps beside the others."""
        solo_shares = self._solo_shares(counts)
        if self._is_driven:
            return solo_shares
        return shares_of_traffic(solo_shares, [self._loads[item] for item, _ in counts])

    def reachable_shares(self, counts: Counts) -> tuple[float, ...]:
        """Return what share of its throughput alone an instance of each could reach.

        Driven to its limit, beside the others at their traffic.
        """
        return self._solo_shares(counts)

    def is_allowed(self, counts: Counts) -> bool:
        """Return whether every model of a set keeps what was asked, with the margin.

        More than ``MAX_PREDICTED_KINDS`` different ones may not share a GPU.
        """
        return self._keeps_throughput(counts) and (
            self._latency is None or self._latency.is_kept(counts)
        )

    def _keeps_throughput(self, counts: Counts) -> bool:
        if _is_alone(counts):
            return True
        if len(counts) > MAX_PREDICTED_KINDS:
            return False
        if not any(self._floors[item] for item, _ in counts):
            return True
        margin = self._contention.margin
        cautious = [
            cautious_retention(share, margin) for share in self._solo_shares(counts)
        ]
        kept = shares_of_traffic(cautious, [self._loads[item] for item, _ in counts])
        return all(
            share >= self._floors[item]
            for share, (item, _) in zip(kept, counts, strict=True)
        )

    def throughput(self, counts: Counts) -> float:
        """Return the predicted total throughput of a set, weighted, in infer/sec."""
        return math.fsum(
            copies * kept * self._throughputs[item]
            for kept, (item, copies) in zip(
                self.retentions(counts), counts, strict=True
            )
        )

    def _solo_shares(self, counts: Counts) -> tuple[float, ...]:
        """Return how much of its throughput alone each item could reach, 0–1."""
        if _is_alone(counts):
            return (1.0,)
        known = self._known.get(counts)
        if known is None:
            items = [item for item, _ in counts]
            limits = limits_beside(
                [self._classes[item] for item in items],
                [self._at_traffic[item] for item in items],
                contention_factor=self._contention.factor,
                shape=self._contention.shape,
                copies=[copies for _, copies in counts],
                delays=None
                if self._delays is None or len(items) == 1
                else self._delays.among(items),
            )
            if self._host is not None:
                on_host = [self._on_host[item] for item in items]
                delays_s = self._host.delays_s(
                    on_host,
                    [self._traffic[item] for item in items],
                    [copies for _, copies in counts],
                )
                limits = held_up(
                    limits,
                    on_host,
                    delays_s,
                    [self._classes[item].gpu_demand_s for item in items],
                )
            known = tuple(
                min(1.0, limit / self._alone[item])
                for limit, item in zip(limits, items, strict=True)
            )
            if len(self._known) >= MAX_KNOWN_SETS:
                self._known.clear()
            self._known[counts] = known
        return known


def retentions_of(
    gpus: Sequence[SharedGpu], contention: Contention
) -> list[tuple[float, ...] | None]:
    """Return what each instance on each GPU keeps beside the others there.

    None of a GPU of which that is unknown: a record lacks a reading, or more than
    ``MAX_PREDICTED_KINDS`` different instances share it.

    Args:
        gpus: Of one GPU type.
        contention: How they are shared.
    """
    kinds = EqualInstances()
    kinds_by_gpu = [
        kinds.add(gpu.records, gpu.loads) if has_all_readings(gpu.records) else []
        for gpu in gpus
    ]
    rule = RetentionRule(kinds.records, contention, {}, loads=kinds.loads)
    found: list[tuple[float, ...] | None] = []
    for of_each in kinds_by_gpu:
        counts = Counter(of_each)
        if not 0 < len(counts) <= MAX_PREDICTED_KINDS:
            found.append(None)
            continue
        kept = dict(zip(counts, rule.retentions(tuple(counts.items())), strict=True))
        found.append(tuple([kept[kind] for kind in of_each]))
    return found


def _is_alone(counts: Counts) -> bool:
    return len(counts) == 1 and counts[0][1] == 1


COMPARED = (SharingMode.TIME_SLICING, SharingMode.MPS)
"""Streams are left out: whether a backend can use them is not a matter of choice."""


def alternatives_of(
    profiles: ProfileSet,
    gpus: Sequence[SharedGpu],
    sharing: SharingMode | None,
    count_gpus: Callable[[Contention], int | None],
) -> tuple[SharingAlternative, ...]:
    """Return what the placed models would keep if GPUs were shared otherwise.

    Args:
        profiles: May hold calibrations of the other ways.
        gpus: What is placed, those of one type together; those of which nothing can be
            predicted do not count.
        sharing: How the GPUs are shared; that way itself is left out. None on a host.
        count_gpus: Returns how many GPUs the same promise would take another way.
    """
    if sharing is None or not gpus:
        return ()
    found = []
    for mode in COMPARED:
        if mode is sharing:
            continue
        shares: list[float] = []
        counts: list[float] = []
        others = []
        for (gpu_type, host_cores), group in groupby(
            gpus, lambda one: (one.measured_on, one.host_cores)
        ):
            others.append(
                resolve_contention(profiles, gpu_type, mode, host_cores=host_cores)
            )
            alike = list(group)
            for gpu, kept in zip(alike, retentions_of(alike, others[-1]), strict=True):
                shares += kept or ()
                counts += [gpu.num_gpus] * len(kept or ())
        if shares:
            found.append(
                SharingAlternative(
                    sharing_mode=mode,
                    lowest_retention=min(shares),
                    mean_retention=min(1.0, fmean(shares, counts)),
                    num_gpus=count_gpus(others[0]),
                )
            )
    return tuple(found)
