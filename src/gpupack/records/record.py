"""The one class every record derives from."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 1
"""Version of every record this release writes; older ones get a reader."""


class Record(BaseModel):
    """Frozen, closed to unknown fields, and without NaN or infinity."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        ser_json_inf_nan="constants",
        # gpupack's served models are called models; pydantic reserves the prefix.
        protected_namespaces=(),
    )
