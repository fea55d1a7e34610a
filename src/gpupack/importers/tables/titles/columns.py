# Long because what a column means, by its title or as the caller says, is decided once.
"""What the columns of a table mean, from their titles.

A title is taken apart into a quantity ("GPU memory used"), a statistic ("max", "p99")
and a unit ("MB"). One that has any other word in it is not understood: it is kept
aside and named, never guessed at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError, ProfileDataError
from gpupack.importers.tables.titles.vocabulary import (
    CAMEL,
    QUANTITIES,
    QUANTITY_WORDS,
    QuantityWords,
    title_parts,
    unit_of,
)
from gpupack.importers.tables.titles.wish_titles import (
    WISHES,
    WishTitle,
    in_given_unit,
    is_wish_meant,
    note_of,
    wish_in_column,
)
from gpupack.importers.tables.units import (
    Kind,
    folded,
    is_requests,
    is_tokens,
    spelled,
    worth,
)
from gpupack.quoting import quoted, quoted_all
from gpupack.spelling import setting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

AS_GIVEN = ", as given"
WISH_NOTE = "a wish about the model, no reading"
"""Ends the note of a column whose unit the caller gave."""
UNIT_FIELD = "unit"
"""Begins the field of a column that says the units of another: ``unit of memory``."""
IGNORE = "ignore"
"""As a column's meaning: do not read it."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What titles without a unit or statistic mean, by who wrote the table.

    Args:
        memory_unit: None: what the numbers look like decides.
        is_decimal: Whether a MB is 10⁶ bytes.
        time_unit: None: a time without a unit is not read.
        share_unit: None: what the numbers look like decides.
        bare_utilization: ``"max"`` or ``"mean"``.
    """

    memory_unit: str | None = None
    is_decimal: bool = False
    time_unit: str | None = None
    share_unit: str | None = None
    bare_utilization: str = "max"


@dataclass(frozen=True, slots=True)
class ColumnUse:
    """How one column was understood.

    Args:
        title: As it stands in the table.
        field: The record's field, or what of the load point it is; None: kept aside.
        kind: What its numbers measure; None for names and counts.
        unit: Of its numbers; None where there is none, or it is not known.
        note: Why it was kept aside, or what was assumed.
        looks_like_reading: Whether a column that is kept aside may hold a reading.
        wish: What it asks of its models; None if nothing, or in no unit that is known.
    """

    title: str
    field: str | None = None
    kind: Kind | None = None
    unit: str | None = None
    note: str = ""
    looks_like_reading: bool = False
    wish: WishTitle | None = None


_READING_WORDS = frozenset(
    ["memory", "utilization", "latency", "throughput", "power", "used", "infer", "gpu"]
)
_LATENCIES = {"mean": "latency_mean_us"} | {
    f"p{one}": f"latency_p{one}_us" for one in (50, 90, 95, 99)
}
_FIELDS = {
    "throughput": "throughput_infer_per_sec",
    "request_throughput": "throughput_infer_per_sec",
    "server_queue": "server_queue_us",
    "compute_input": "server_compute_input_us",
    "compute_infer": "server_compute_infer_us",
    "compute_output": "server_compute_output_us",
    "sm_utilization": "sm_utilization_percent",
    "sm_occupancy": "sm_occupancy_percent",
    "dram_bandwidth": "dram_bandwidth_percent",
    "tensor_activity": "tensor_activity_percent",
    "energy": "energy_joules",
    "host_cpu": "host_cpu_cores",
}
_HIGHEST_MEMORY = {
    "memory": "gpu_memory_used_bytes",
    "host_memory": "host_memory_bytes",
}
MEANINGS = (
    *("model_name", "batch_size", "concurrency", "request_rate", "variant", "gpu"),
    *("throughput_infer_per_sec", "throughput_requests_per_sec"),
    *("latency_mean_ms", "latency_p50_ms", "latency_p90_ms", "latency_p95_ms"),
    *("latency_p99_ms", "gpu_utilization_percent", "gpu_utilization_mean_percent"),
    *("memory_utilization_percent", "memory_utilization_mean_percent"),
    *("gpu_memory_used_mib", "power_mean_watts", "num_model_instances"),
    *("host_cpu_cores", "host_memory_mib"),
)
"""What a column may be said to mean; other titles that are understood do as well."""


def understand_columns(
    titles: Sequence[str],
    *,
    where: str,
    dialect: Dialect,
    columns: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    is_one_of_several: bool = False,
) -> list[ColumnUse]:
    """Return what each column means.

    Args:
        titles: Of the columns.
        where: Name of the table for messages.
        dialect: What a title without a unit or statistic means.
        columns: Titles whose meaning the caller knows, and that meaning.
        units: By title or quantity (``memory``, ``latency``), the unit.
        is_one_of_several: Whether ``columns`` and ``units`` may be those of another
            table; ``require_used`` then looks at all of them.

    Raises:
        InvalidInputError: If ``columns`` or ``units`` name what is not there, or no
            meaning or unit there is.
        ProfileDataError: If two columns mean the same.
    """
    known = {title.casefold() for title in titles}
    if is_one_of_several:
        columns = {
            title: meaning
            for title, meaning in (columns or {}).items()
            if title.strip().casefold() in known
        }
    meaning_of = _by_title(columns or {}, titles, where)
    uses = []
    for title in titles:
        meaning = meaning_of.get(title)
        if meaning is not None and meaning.strip().casefold() == IGNORE:
            uses.append(ColumnUse(title, note="not read, as asked"))
            continue
        wish = wish_in_column(title, meaning)
        if wish is not None:
            wish = in_given_unit(title, wish, units or {})
            if wish.unit is None and meaning is not None:
                raise InvalidInputError(
                    f"{where}: column {quoted(title)} cannot mean {quoted(meaning)}: "
                    + note_of(wish, WISH_NOTE)
                )
            uses.append(_of_wish(title, wish))
            continue
        use = understand(title if meaning is None else meaning, dialect)
        if meaning is not None and use.field is None:
            raise InvalidInputError(
                f"{where}: column {quoted(title)} cannot mean {quoted(meaning)}; one "
                f"may mean {', '.join(MEANINGS)}, what is asked of the model "
                f"({', '.join(WISHES)}) or {IGNORE}"
            )
        if meaning is not None and use.kind is not None:
            own_unit = title_parts(title)[2]
            if own_unit is not None and worth(use.kind, own_unit) is not None:
                use = replace(use, unit=own_unit)  # what the title says, it is in
        uses.append(replace(use, title=title))
    for key, unit in (units or {}).items():
        meant = [index for index, use in enumerate(uses) if is_meant(key, use)]
        is_of_wish = any(_asks(key, use) for use in uses)
        if not meant and not is_of_wish and not is_one_of_several:
            raise InvalidInputError(
                f"{where}: a unit is given for {quoted(key)}, but no column is that; "
                f"it has {quoted_all(titles)}"
            )
        for index in meant:
            uses[index] = _in_given_unit(uses[index], unit)
    _require_distinct(uses, where)
    return [_in_default_unit(use, dialect) for use in uses]


def require_used(
    columns: Mapping[str, str],
    units: Mapping[str, str],
    tables: Mapping[str, Sequence[ColumnUse]],
) -> None:
    """Check that what is said of columns and units holds for one of several tables.

    Raises:
        InvalidInputError: Naming what no table has.
    """
    uses = [use for of_table in tables.values() for use in of_table]
    titles = {use.title.casefold() for use in uses}
    unknown = [key for key in columns if key.strip().casefold() not in titles]
    unknown += [
        key
        for key in units
        if not any(is_meant(key, use) or _asks(key, use) for use in uses)
    ]
    if unknown:
        raise InvalidInputError(
            f"{', '.join(tables)}: there is no column "
            f"{quoted_all(unknown)}; "
            f"there are {', '.join(sorted({quoted(use.title) for use in uses}))}"
        )


@lru_cache(maxsize=1000)
def understand(title: str, dialect: Dialect) -> ColumnUse:
    """Return what a title means; its field is None if that is not known."""
    use = _understand(title, dialect)
    if use.field is None and not use.note and CAMEL.search(title):
        return replace(_understand(CAMEL.sub(" ", title), dialect), title=title)
    return use


def _understand(title: str, dialect: Dialect) -> ColumnUse:
    wish = wish_in_column(title, None)
    if wish is not None:
        return _of_wish(title, wish)
    of_unit = unit_of(title)
    if of_unit is not None and (not of_unit or _is_of_numbers(of_unit, dialect)):
        of = f" of {of_unit}" if of_unit else ""
        return ColumnUse(title, f"{UNIT_FIELD}{of}")
    words, statistic, unit = title_parts(title)
    is_rate = unit is not None and worth(Kind.RATE, unit) is not None
    if is_rate and words <= {"completed", "successful"}:
        words = frozenset(["throughput"])
    if not words and statistic in _LATENCIES and statistic != "mean":
        words = frozenset(["latency"])
    if words in (frozenset(["gpu"]), frozenset(["gpu", "used"])) and (
        unit is not None and worth(Kind.SHARE, unit) is not None
    ):
        words = frozenset(["gpu", "utilization"])
    for one in QUANTITIES if words & QUANTITY_WORDS else ():
        if one.is_named_by(words):
            return _use(title, one, statistic, unit, dialect)
    if is_tokens(unit or "") or "tokens" in words or "token" in words:
        note = (
            "tokens are no requests: requests or inferences a second are planned with"
        )
        return ColumnUse(title, note=note)
    looks = bool(words & _READING_WORDS) or unit is not None
    return ColumnUse(title, looks_like_reading=looks)


def _of_wish(title: str, wish: WishTitle) -> ColumnUse:
    return ColumnUse(
        title, note=note_of(wish, WISH_NOTE), wish=wish if wish.unit else None
    )


def _is_of_numbers(title: str, dialect: Dialect) -> bool:
    """Return whether a title, of a latency without a statistic also, is of numbers."""
    words, _, unit = title_parts(title)
    return unit is None and (
        any(one.kind and one.is_named_by(words) for one in QUANTITIES)
        or _understand(title, dialect).kind is not None
    )


def _use(
    title: str,
    quantity: QuantityWords,
    statistic: str | None,
    unit: str | None,
    dialect: Dialect,
) -> ColumnUse:
    name, kind = quantity.name, quantity.kind
    if name == "ignored":
        return ColumnUse(title, note="not needed")
    if name == "batch_size" and statistic == "max":
        return ColumnUse(title, "max_batch_size")
    if kind is None:
        if statistic is not None or unit is not None:
            return ColumnUse(title)
        return ColumnUse(title, name)
    if unit is not None and worth(kind, unit) is None:
        return ColumnUse(
            title,
            note=f"{unit} is no unit of it; give one: {spelled(kind)}",
            looks_like_reading=True,
        )
    field, note = _field(name, statistic, dialect)
    if title.strip().casefold() in MEANINGS:
        note = ""  # that is how gpupack itself calls the highest
    if field is None:
        return ColumnUse(title, note=note, looks_like_reading=not note)
    if name == "request_throughput" and not is_requests(unit or ""):
        unit = "requests/sec"
    return ColumnUse(title, field, kind, unit, note)


def _field(
    name: str, statistic: str | None, dialect: Dialect
) -> tuple[str | None, str]:
    """Return the record's field of a quantity's statistic, and what was assumed."""
    if name == "latency":
        if statistic is None:
            return None, "which percentile or mean it is, its title does not say"
        field = _LATENCIES.get(statistic)
        return field, "" if field else "not needed"
    if name in ("gpu_utilization", "memory_utilization"):
        of = statistic or dialect.bare_utilization
        if of == "max":
            return f"{name}_percent", "" if statistic else "taken as the highest"
        return (f"{name}_mean_percent", "") if of == "mean" else (None, "not needed")
    if name in _HIGHEST_MEMORY:
        if statistic in (None, "max"):
            return _HIGHEST_MEMORY[name], ""
        return None, f"{statistic}: what a model needs is the highest"
    if name == "power":
        is_mean = statistic in (None, "mean")
        return ("power_mean_watts", "") if is_mean else (None, "not needed")
    if statistic not in (None, "mean"):
        return None, "not needed"
    return _FIELDS[name], ""


def _by_title(
    columns: Mapping[str, str], titles: Sequence[str], where: str
) -> dict[str, str]:
    """Return the meanings by the titles as they stand in the table."""
    known = {title.casefold(): title for title in titles}
    unknown = [title for title in columns if title.strip().casefold() not in known]
    if unknown:
        raise InvalidInputError(
            f"{where}: there is no column {quoted_all(unknown)}; it has "
            f"{quoted_all(titles)}"
        )
    return {known[title.strip().casefold()]: columns[title] for title in columns}


def is_meant(key: str, use: ColumnUse) -> bool:
    """Return whether a key of ``units`` means this column."""
    if use.kind is None or use.field is None:
        return False
    wanted = key.strip().casefold()
    if wanted == use.title.casefold() or wanted == use.field:
        return True
    if wanted == "utilization":
        return use.kind is Kind.SHARE
    words, statistic, _ = title_parts(wanted)
    for one in QUANTITIES:
        if one.is_named_by(words):
            if one.name in _HIGHEST_MEMORY:
                return use.field == _HIGHEST_MEMORY[one.name]
            if one.kind is None or statistic is not None:
                return _field(one.name, statistic, Dialect())[0] == use.field
            if one.name in _FIELDS:
                return _FIELDS[one.name] == use.field
            return use.field.startswith(f"{one.name}_")
    return False


def _asks(key: str, use: ColumnUse) -> bool:
    """Return whether a key of ``units`` means a column that asks something."""
    return use.wish is not None and is_wish_meant(key, use.title, use.wish.wish)


def _in_given_unit(use: ColumnUse, unit: str) -> ColumnUse:
    assert use.kind is not None
    if worth(use.kind, unit) is None:
        raise InvalidInputError(
            f"the unit of {quoted(use.title)} is given as {quoted(unit)}; it may be "
            f"{spelled(use.kind)}"
        )
    return replace(use, unit=folded(unit), note=f"{unit}{AS_GIVEN}")


def _in_default_unit(use: ColumnUse, dialect: Dialect) -> ColumnUse:
    if use.kind is None or use.unit is not None or use.field is None:
        return use
    default = {
        Kind.MEMORY: dialect.memory_unit,
        Kind.TIME: dialect.time_unit,
        Kind.SHARE: dialect.share_unit,
        Kind.RATE: "infer/sec",
        Kind.POWER: "w",
        Kind.ENERGY: "j",
        Kind.CORES: "cores",
    }[use.kind]
    return replace(use, unit=default)


def _require_distinct(uses: Sequence[ColumnUse], where: str) -> None:
    title_of: dict[str, str] = {}
    for use in uses:
        if use.field is None:
            continue
        if use.field in title_of:
            raise ProfileDataError(
                f"{where}: columns {quoted(title_of[use.field])} and "
                f"{quoted(use.title)} are both understood as {use.field}; say which "
                f"one is not, with "
                + setting(
                    "columns",
                    python=f"{{{quoted(use.title)}: {IGNORE!r}}}",
                    shell=f"{quoted(use.title)}={IGNORE}",
                )
            )
        title_of[use.field] = use.title
