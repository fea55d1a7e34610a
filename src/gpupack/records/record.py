"""The one class every record derives from."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 1
"""Version of every record that has no newer one; older ones get a reader."""


class Record(BaseModel):
    """Frozen, closed to unknown fields, without NaN or infinity, and hashable."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        ser_json_inf_nan="constants",
        # gpupack's served models are called models; pydantic reserves the prefix.
        protected_namespaces=(),
    )

    def __hash__(self) -> int:
        """Return a hash of the fields; records that are equal have the same."""
        values = tuple(self.__dict__[name] for name in type(self).__pydantic_fields__)
        try:
            return hash((type(self), values))
        except TypeError:  # a mapping, which Python does not hash
            return hash((type(self), tuple(map(_hashable, values))))


def _hashable(value: object) -> Hashable:
    """Return what has the same hash wherever the value is equal."""
    if isinstance(value, Mapping):
        return frozenset((key, _hashable(one)) for key, one in value.items())
    if isinstance(value, tuple | list):
        return tuple(map(_hashable, value))
    return value
