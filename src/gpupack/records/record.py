"""The one class every record derives from."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

SCHEMA_VERSION = 1
"""Version of every record that has no newer one; older ones get a reader."""


class Record(BaseModel):
    """Frozen, closed to unknown fields, without NaN or infinity, and hashable."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
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

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> JsonSchemaValue:
        """Return the JSON Schema, with the docstrings of fields as descriptions.

        Pydantic can do so when a class is made; to parse every source file each time
        that a process starts takes longer than most plans.
        """
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for name, text in _docstrings_of_fields(cls).items():
            if name in properties:
                properties[name].setdefault("description", text)
        return schema


def _docstrings_of_fields(record_class: type[BaseModel]) -> dict[str, str]:
    """Return the docstrings below the fields of a class and of those it derives from.

    Empty where the sources are not there.
    """
    import ast
    import inspect
    import textwrap
    from itertools import pairwise

    found: dict[str, str] = {}
    for one in reversed(record_class.__mro__):
        if not issubclass(one, Record) or one is Record:
            continue
        try:
            source = inspect.getsource(one)
        except (OSError, TypeError):
            continue
        (tree,) = ast.parse(textwrap.dedent(source)).body
        assert isinstance(tree, ast.ClassDef)
        for field, text in pairwise(tree.body):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
                and isinstance(text.value.value, str)
            ):
                found[field.target.id] = inspect.cleandoc(text.value.value)
    return found


def _hashable(value: object) -> Hashable:
    """Return what has the same hash wherever the value is equal."""
    if isinstance(value, Mapping):
        return frozenset((key, _hashable(one)) for key, one in value.items())
    if isinstance(value, tuple | list):
        return tuple(map(_hashable, value))
    return value
