"""A set of profiles: what every reader and ``profile()`` returns."""

from __future__ import annotations

from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Self, TypeAlias

from pydantic import ValidatorFunctionWrapHandler, WrapValidator, model_validator

from gpupack.arguments import names, require_kind
from gpupack.errors import ProfileDataError, UnknownNameError
from gpupack.frames import frame_of
from gpupack.quoting import quoted, quoted_all
from gpupack.records.calibration import Calibration
from gpupack.records.gpu import GpuType
from gpupack.records.profile import (
    FailedLoadPoint,
    LoadPoint,
    ModelVariant,
    ProfileRecord,
    ServerBaseline,
)
from gpupack.records.record import Record
from gpupack.report.reading import format_profiles
from gpupack.report.summary import count_of
from gpupack.report.text import variant_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.figure import Figure

AnyRecord: TypeAlias = ServerBaseline | ProfileRecord | FailedLoadPoint | Calibration


def _as_they_are(
    given: object, validate: ValidatorFunctionWrapHandler
) -> tuple[ProfileRecord, ...]:
    """Return records, which need no second validation, and validate all else."""
    if isinstance(given, tuple) and all(type(one) is ProfileRecord for one in given):
        return given
    found: tuple[ProfileRecord, ...] = validate(given)
    return found


_WHAT_IT_IS_OF = attrgetter(
    *("model_name", "gpu_type.name", "load_point.batch_size"),
    *("load_point.concurrency", "load_point.requests_per_sec", "load_point.variant"),
)


class ProfileSet(Record):
    """Profile records with the server-only baselines they were measured over.

    Raises:
        ProfileDataError: If a model has two records of one load point and GPU
            type, or a GPU type has two baselines.
    """

    records: Annotated[tuple[ProfileRecord, ...], WrapValidator(_as_they_are)] = ()
    baselines: tuple[ServerBaseline, ...] = ()
    failures: tuple[FailedLoadPoint, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    """What sharing a GPU costs; of several for one GPU type and way, the last holds."""
    notes: tuple[str, ...] = ()
    """What was left out or assumed when the profiles were read; not kept in files."""

    @model_validator(mode="after")
    def _nothing_is_measured_twice(self) -> Self:
        # A hundred thousand are looked at once; variants' own hashes take their time.
        told = [*map(_WHAT_IT_IS_OF, self.records)]
        variants = {id(one[-1]): one[-1] for one in told}
        first: dict[ModelVariant | None, int] = {}
        same = {key: first.setdefault(one, key) for key, one in variants.items()}
        names = {
            (name, gpu_name, size, concurrency, rate, same[id(variant)])
            for name, gpu_name, size, concurrency, rate, variant in told
        }
        is_repeated = len(names) < len(told)
        keys = [record.key for record in self.records] if is_repeated else []
        for (name, load_point, gpu_name), count in Counter(keys).items():
            if count > 1:
                raise ProfileDataError(
                    f"model {quoted(name)} has {count} records at load point "
                    f"{load_point} on {gpu_name}; keep one"
                )
        for gpu_name, count in Counter(
            baseline.gpu_type.name for baseline in self.baselines
        ).items():
            if count > 1:
                raise ProfileDataError(
                    f"GPU type {gpu_name} has {count} server-only baselines; keep one"
                )
        return self

    @classmethod
    def of(cls, records: Sequence[AnyRecord]) -> ProfileSet:
        """Sort mixed records into a set.

        Of several failures of a load point the last counts, and none once the load
        point was measured: a file that a sweep appends to holds them all.
        """
        measured = tuple(one for one in records if isinstance(one, ProfileRecord))
        failures = {one.key: one for one in records if isinstance(one, FailedLoadPoint)}
        mended = {record.key for record in measured} if failures else set()
        return cls(
            records=measured,
            baselines=tuple(one for one in records if isinstance(one, ServerBaseline)),
            failures=tuple(one for key, one in failures.items() if key not in mended),
            calibrations=tuple(one for one in records if isinstance(one, Calibration)),
        )

    def __len__(self) -> int:
        """Return the number of profile records."""
        return len(self.records)

    def __repr__(self) -> str:
        """Return one short line, however many records there are."""
        types = ", ".join(gpu_type.name for gpu_type in self.gpu_types)
        return (
            f"<ProfileSet: {count_of(len(self.model_names), 'model')}, "
            f"{count_of(len(self), 'record')}, measured on {types or 'nothing'}>"
        )

    def __str__(self) -> str:
        """Return a readable table, one line per record."""
        return format_profiles(self.records, self.baselines, self.failures)

    @property
    def model_names(self) -> tuple[str, ...]:
        """Every model with a record, sorted by name."""
        return tuple(sorted({record.model_name for record in self.records}))

    @property
    def gpu_types(self) -> tuple[GpuType, ...]:
        """Every GPU type with a record, sorted by name."""
        by_name = {record.gpu_type.name: record.gpu_type for record in self.records}
        return tuple(by_name[name] for name in sorted(by_name))

    def select(
        self,
        model_names: str | Sequence[str] | None = None,
        *,
        load_point: LoadPoint | str | None = None,
        gpu_type: str | None = None,
    ) -> ProfileSet:
        """Return the records of these models, load point and GPU type.

        Baselines stay, those of other GPU types apart when ``gpu_type`` is given. A
        load point that names no variant selects every variant with it.

        Raises:
            UnknownNameError: If a named model has no record at all.
            InvalidInputError: If the load point is none, or a name is no text.
        """
        chosen = None if model_names is None else {*names("model_names", model_names)}
        if chosen is not None:
            unknown = sorted(chosen - set(self.model_names))
            if unknown:
                raise UnknownNameError(
                    f"no profile of {quoted_all(unknown)}; there are profiles of "
                    f"{quoted_all(self.model_names) or 'nothing'}"
                )
        point = load_point
        if point is not None and not isinstance(point, LoadPoint):
            point = LoadPoint.parse(point)
        if gpu_type is not None:
            require_kind("gpu_type", gpu_type, str, "the name of a GPU type")

        def wanted(record: ProfileRecord | FailedLoadPoint) -> bool:
            return (
                (chosen is None or record.model_name in chosen)
                and (point is None or record.load_point.is_one_of(point))
                and (gpu_type is None or record.gpu_type.name == gpu_type)
            )

        # What is in this set was checked, and none of it is twice in a part of it.
        return ProfileSet.model_construct(
            records=tuple(record for record in self.records if wanted(record)),
            baselines=tuple(
                baseline
                for baseline in self.baselines
                if gpu_type is None or baseline.gpu_type.name == gpu_type
            ),
            failures=tuple(failure for failure in self.failures if wanted(failure)),
            calibrations=self.calibrations,
            notes=self.notes,
        )

    def baseline(self, gpu_type: str) -> ServerBaseline | None:
        """Return the server-only baseline of a GPU type, None if there is none."""
        for baseline in self.baselines:
            if baseline.gpu_type.name == gpu_type:
                return baseline
        return None

    def plot(self, model_name: str) -> Figure:
        """Return a model's throughput and latency over concurrency as a figure.

        A line per batch size, with 95 % confidence intervals; a row per GPU type.

        Raises:
            UnknownNameError: If the model has no record.
            MissingExtraError: If matplotlib is not installed.
        """
        from gpupack.report.figures import plot_profiles

        return plot_profiles(self.select(model_name).records, model_name)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per record; needs pandas.

        Columns are the record's field names, with ``batch_size``, ``concurrency``,
        ``requests_per_sec``, ``variant`` and ``gpu_type`` (names) in place of the
        nested ones.

        Raises:
            MissingExtraError: If pandas is not installed.
        """
        nested = {"load_point", "gpu_type", "environment", "windows", "missing"}
        rows = [
            {
                "model_name": record.model_name,
                "batch_size": record.load_point.batch_size,
                "concurrency": record.load_point.concurrency,
                "requests_per_sec": record.load_point.requests_per_sec,
                "variant": variant_name(record.load_point),
                "gpu_type": record.gpu_type.name,
            }
            | record.model_dump(exclude=nested | {"kind", "schema_version", "warnings"})
            for record in self.records
        ]
        return frame_of(rows)
