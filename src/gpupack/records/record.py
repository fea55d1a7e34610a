"""The one class every record derives from."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from gpupack.quoting import MAX_QUOTED, shortened

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

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Yield the fields as ``str()`` and ``repr()`` show them: long texts cut."""
        for name, value in super().__repr_args__():
            yield name, _cut(value)

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


def _cut(value: Any) -> Any:
    """Return a value whose texts are no longer than a message repeats them."""
    if isinstance(value, str) and len(value) > MAX_QUOTED:
        return shortened(value, MAX_QUOTED)
    if isinstance(value, Mapping):
        return {_cut(key): _cut(one) for key, one in value.items()}
    if type(value) in (tuple, list, set, frozenset):
        return type(value)(map(_cut, value))
    return value


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


R = TypeVar("R", bound=Record)


class RecordTemplate(Generic[R]):
    """Makes records that differ from a valid one in a few fields alone.

    The rows of a table have most in common. What they have was validated with the one
    record; of the others only the few fields are, each by its own type and limits.
    What validators say of several fields together must hold for any values of these,
    as it does where it only matters which of them are None.

    Args:
        record: Has the values of the other fields, which all records share.
        fields: Names of those that differ.
    """

    def __init__(self, record: R, fields: Iterable[str]) -> None:
        self._class = type(record)
        self._validators = {name: _validator(self._class, name) for name in fields}
        self._values = dict(record.__dict__)
        self._fields_set = record.__pydantic_fields_set__ | self._validators.keys()

    def record(self, **values: object) -> R:
        """Return the record with these values of the fields that differ.

        Raises:
            ValidationError: If a value is none that its field may have.
        """
        fields = self._values.copy()
        try:
            for name, validate in self._validators.items():
                value = values[name]
                if value is None:  # and the one record has a reading
                    return self._class(**(self._values | values))
                fields[name] = validate(value)
        except ValidationError:
            # The whole record's own error says of which field it is.
            return self._class(**(self._values | values))
        made = self._class.__new__(self._class)
        # As BaseModel.model_construct() does; a frozen class has no other way.
        object.__setattr__(made, "__dict__", fields)
        object.__setattr__(made, "__pydantic_fields_set__", self._fields_set)
        object.__setattr__(made, "__pydantic_extra__", None)
        object.__setattr__(made, "__pydantic_private__", None)
        return made


@cache
def _validator(record_class: type[Record], name: str) -> Callable[[object], Any]:
    """Return what validates the values of one field."""
    from pydantic import TypeAdapter  # which most commands have no use for

    field = record_class.model_fields[name]
    kind = field.annotation
    if isinstance(kind, type) and issubclass(kind, Record):
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        return lambda value: (
            value if type(value) is kind else adapter.validate_python(value)
        )
    limited: Any = Annotated[(kind, *field.metadata)] if field.metadata else kind
    # TypeAdapter's own method takes as long again as this one of pydantic's core.
    return TypeAdapter(
        limited, config=ConfigDict(allow_inf_nan=False)
    ).validator.validate_python


def _hashable(value: object) -> Hashable:
    """Return what has the same hash wherever the value is equal."""
    if isinstance(value, Mapping):
        return frozenset((key, _hashable(one)) for key, one in value.items())
    if isinstance(value, tuple | list):
        return tuple(map(_hashable, value))
    return value
