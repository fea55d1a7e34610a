"""How strongly models sharing one GPU type slow each other down, fitted or default."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from gpupack.records.environment import Environment, SharingMode
from gpupack.records.record import Record


class CalibrationMethod(StrEnum):
    """What a calibration was fitted to."""

    OWN_MODELS = "own_models"
    """The user's models, as ``verify`` ran them or an export tells of them."""
    REFERENCE_MODELS = "reference_models"
    """Models that come with gpupack: ``gpupack calibrate --quick``."""


class Calibration(Record):
    """The contention factor of one GPU type and sharing mode, with its evidence."""

    kind: Literal["calibration"] = "calibration"
    schema_version: Literal[1] = 1
    gpu_type_name: str = Field(min_length=1)
    sharing_mode: SharingMode
    contention_factor: float = Field(ge=0, le=100)
    """How much other requests at the GPU add to a request's time there.

    0 is no interference at all; what 1 means depends on the way of sharing.
    """
    law: int = Field(default=1, ge=1)
    """Which law of delays the factor was fitted with, and is used with.

    1 is the first of each way of sharing; files that do not say are of that one.
    """
    num_sets: int = Field(ge=0)
    """Co-located sets it was fitted to; 0 for a default."""
    method: CalibrationMethod = CalibrationMethod.OWN_MODELS
    """What it was fitted to."""
    retention_margin_ratio: float | None = Field(default=None, ge=0, le=1)
    """What a predicted retention must have to spare; None takes the default."""
    mean_absolute_error_ratio: float | None = Field(default=None, ge=0)
    """Of the predicted retentions over those sets; None for a default."""
    environment: Environment

    @property
    def key(self) -> tuple[str, SharingMode]:
        """What makes a calibration unique in a set: GPU type and sharing mode."""
        return self.gpu_type_name, self.sharing_mode
