"""How strongly the models of a GPU slow each other down: calibrated, or a default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.catalogue import MEMORY_MIB_BY_NAME, card_called
from gpupack.planning.contention.delays import PROCESSOR_SHARING, SharingShape
from gpupack.planning.contention.latency_prediction import (
    ARRIVALS_SHARES,
    DEFAULT_LATENCY_MARGINS,
    FORMER_ARRIVALS_SHARES,
    ROUND_ROBIN,
    UNMEASURED_LATENCY_MARGIN,
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
)
from gpupack.records.calibration import CalibrationMethod
from gpupack.records.environment import SharingMode
from gpupack.records.gpu import DeviceKind
from gpupack.units import bytes_from_mib

if TYPE_CHECKING:
    from gpupack.profile_set import ProfileSet
    from gpupack.records.calibration import Calibration
    from gpupack.records.gpu import GpuType

DEFAULTS_CARD = "H200"
"""The card that the default factors and margins were fitted on."""
OTHER_CARD_MARGINS = 1.5
"""Margins are so much wider on another card, where nothing is known of it: a judgement,
not a measurement."""


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
    latency_margin: float = UNMEASURED_LATENCY_MARGIN
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
