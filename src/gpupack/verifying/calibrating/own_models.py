"""Fit the contention factor of a GPU and way of sharing: ``calibrate()``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import gpupack
from gpupack.arguments import require_kind, several
from gpupack.errors import InvalidInputError
from gpupack.planning import (
    LAWS,
    SHARING_SHAPES,
    fit_contention_factor,
    fit_retention_margin,
    measured_sets,
)
from gpupack.records.calibration import Calibration
from gpupack.records.colocation import CoLocation
from gpupack.records.environment import Environment
from gpupack.records.running.verification import GpuVerification

if TYPE_CHECKING:
    from collections.abc import Sequence


def calibrate(
    verifications: Sequence[GpuVerification], colocations: Sequence[CoLocation] = ()
) -> Calibration:
    """Return the contention factor that fits these measurements best.

    Args:
        verifications: What ``verify()`` measured.
        colocations: What others measured, together and alone: of an export, as
            ``read_colocations`` of the importers returns it.

    Raises:
        InvalidInputError: If they are of several GPU types or ways of sharing, were
            run on the host, or no two models ran together.
        MissingReadingError: If the GPU's utilization was not read.
    """
    verifications = several("verifications", verifications, "those of a file")
    for one in verifications:
        require_kind("a verification", one, GpuVerification, "a GpuVerification")
    colocations = several("colocations", colocations, "those of an export")
    for measured in colocations:
        require_kind("a co-location", measured, CoLocation, "a CoLocation")
    kinds = {
        (measurement.gpu_type.name, measurement.environment.sharing_mode)
        for measurement in (
            *(of_gpu for one in verifications for of_gpu in one.measurements),
            *colocations,
        )
    }
    if not kinds:
        raise InvalidInputError(
            "there is nothing measured to calibrate with; run gpupack verify --store "
            "on a placement whose models share a GPU, and give its file"
        )
    if len(kinds) != 1:
        told = ", ".join(sorted(f"{name} ({mode})" for name, mode in kinds))
        raise InvalidInputError(
            "a calibration is for one GPU type and way of sharing, the verifications "
            f"are of {told}; give those of one"
        )
    ((gpu_type_name, mode),) = kinds
    if mode is None:
        raise InvalidInputError(
            "the host device needs no calibration: processes share its cores fairly"
        )
    # A model's own solo reading, taken beside its set, is the one to compare with.
    sets = [found for one in verifications for found in measured_sets(one.measurements)]
    sets += measured_sets(colocations)
    shape = SHARING_SHAPES[mode]
    factor, error = fit_contention_factor(sets, shape)
    return Calibration(
        gpu_type_name=gpu_type_name,
        sharing_mode=mode,
        contention_factor=factor,
        law=LAWS[mode],
        num_sets=len(sets),
        retention_margin_ratio=fit_retention_margin(sets, factor, shape),
        mean_absolute_error_ratio=error,
        environment=Environment(
            source="gpupack calibrate",
            measured_at=datetime.now(UTC),
            gpupack_version=gpupack.__version__,
            sharing_mode=mode,
        ),
    )
