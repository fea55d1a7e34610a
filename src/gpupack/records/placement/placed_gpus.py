"""The GPUs of a placement, those that hold the same kept once, with their number."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, pairwise
from typing import Any, Final, TypeVar, overload

from pydantic import Field, GetCoreSchemaHandler, ValidatorFunctionWrapHandler
from pydantic_core import CoreSchema, core_schema

from gpupack.records.placement.gpu_placement import GpuPlacement

MAX_GPUS = 1_000_000_000
"""More equal GPUs than that no placement has: a file that says so is broken."""
G = TypeVar("G", bound=GpuPlacement)


class EqualGpus(GpuPlacement):
    """GPUs of one type that hold the same, numbered one after the other.

    ``gpu_index`` is that of the first; what it says of one GPU holds for each.
    """

    num_gpus: int = Field(default=1, ge=1, le=MAX_GPUS)

    @property
    def gpu_indices(self) -> range:
        """The index of every one of them."""
        return range(self.gpu_index, self.gpu_index + self.num_gpus)

    def gpu(self, gpu_index: int) -> GpuPlacement:
        """Return the one GPU of this index."""
        values = self.__dict__ | {"gpu_index": gpu_index}
        del values["num_gpus"]
        return _made(GpuPlacement, values)

    @staticmethod
    def of(gpu: GpuPlacement, *, gpu_index: int, num_gpus: int) -> EqualGpus:
        """Return so many GPUs that hold what one does, from an index on."""
        values = {"gpu_index": gpu_index, "num_gpus": num_gpus}
        return _made(EqualGpus, gpu.__dict__ | values)

    def holds_as(self, other: EqualGpus) -> bool:
        """Return whether others are of the same type and hold exactly the same."""
        return all(
            value is (another := other.__dict__[name]) or value == another
            for name, value in self.__dict__.items()
            if name not in {"gpu_index", "num_gpus"}
        )


class PlacedGpus(Sequence[GpuPlacement]):
    """A sequence of GPUs that takes the room of those that differ.

    It is used as a tuple of ``GpuPlacement`` is: ``len()``, indices, slices, loops,
    sums and comparison. A GPU is made when it is asked for. Whoever can treat equal
    GPUs as one loops over ``runs`` instead, which are as few as the placement's lines.

    Args:
        gpus: In the order of the placement. Equal ones that follow each other, with
            indices that do, are kept as one.
    """

    __slots__ = ("_ends", "runs")

    runs: Final[tuple[EqualGpus, ...]]
    """The GPUs, equal ones that follow each other as one entry."""

    def __init__(self, gpus: Iterable[GpuPlacement] = ()) -> None:
        runs: list[EqualGpus] = []
        for gpu in _runs_or_gpus(gpus):
            run = _as_run(gpu)
            if (
                runs
                and runs[-1].gpu_indices.stop == run.gpu_index
                and runs[-1].holds_as(run)
            ):
                last = runs[-1]
                runs[-1] = EqualGpus.of(
                    last,
                    gpu_index=last.gpu_index,
                    num_gpus=last.num_gpus + run.num_gpus,
                )
            else:
                runs.append(run)
        self.runs = tuple(runs)
        self._ends = tuple(accumulate(run.num_gpus for run in runs))

    @property
    def repeated_index(self) -> int | None:
        """The index of a GPU that is there more than once; None if there is none."""
        runs = sorted(self.runs, key=lambda run: run.gpu_index)
        for run, following in pairwise(runs):
            if following.gpu_index < run.gpu_indices.stop:
                return following.gpu_index
        return None

    @overload
    def __getitem__(self, index: int) -> GpuPlacement: ...

    @overload
    def __getitem__(self, index: slice) -> PlacedGpus: ...

    def __getitem__(self, index: int | slice) -> GpuPlacement | PlacedGpus:
        """Return the GPU at a place, or those of a slice; no index is a GPU's own."""
        if isinstance(index, slice):
            places = range(len(self))[index]
            if places.step == 1:
                return PlacedGpus(self._between(places.start, places.stop))
            return PlacedGpus(self[place] for place in places)
        place = range(len(self))[index]
        number = bisect_right(self._ends, place)
        run = self.runs[number]
        return run.gpu(run.gpu_indices[place - self._ends[number]])

    def _between(self, start: int, stop: int) -> Iterator[EqualGpus]:
        """Yield the GPUs at these places, equal ones together."""
        for run, end in zip(self.runs, self._ends, strict=True):
            here = run.gpu_indices[max(0, start - end + run.num_gpus) :]
            here = here[: max(0, stop - max(start, end - run.num_gpus))]
            if here:
                yield EqualGpus.of(run, gpu_index=here.start, num_gpus=len(here))

    def __len__(self) -> int:
        """Return the number of GPUs."""
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[GpuPlacement]:
        """Yield every GPU by itself."""
        return (run.gpu(index) for run in self.runs for index in run.gpu_indices)

    def __add__(self, other: Iterable[GpuPlacement]) -> PlacedGpus:
        """Return these GPUs, and then others."""
        return PlacedGpus(chain(self.runs, _runs_or_gpus(other)))

    def __radd__(self, other: Iterable[GpuPlacement]) -> PlacedGpus:
        """Return others, and then these GPUs."""
        return PlacedGpus(chain(_runs_or_gpus(other), self.runs))

    def __mul__(self, times: int) -> PlacedGpus:
        """Return these GPUs so many times, with the numbers that they have."""
        return PlacedGpus(self.runs * times)

    def __eq__(self, other: object) -> bool:
        """Return whether another sequence has the same GPUs in the same order."""
        if isinstance(other, PlacedGpus):
            return self.runs == other.runs
        if isinstance(other, tuple | list):
            return len(self) == len(other) and all(
                one == another for one, another in zip(self, other, strict=True)
            )
        return NotImplemented

    def __hash__(self) -> int:
        """Return a hash of the GPUs; equal sequences have the same."""
        return hash(self.runs)

    def __repr__(self) -> str:
        """Return one short line, however many GPUs there are."""
        return f"<PlacedGpus: {len(self):,} GPUs in {len(self.runs):,} runs>"

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: GetCoreSchemaHandler, /
    ) -> CoreSchema:
        """Return how it is read and written: as a list of its runs."""
        runs = handler.generate_schema(tuple[EqualGpus, ...])
        return core_schema.no_info_wrap_validator_function(
            cls._validated,
            runs,
            serialization=core_schema.plain_serializer_function_ser_schema(
                _runs_of, return_schema=runs
            ),
        )

    @classmethod
    def _validated(
        cls, value: object, handler: ValidatorFunctionWrapHandler
    ) -> PlacedGpus:
        if isinstance(value, PlacedGpus):
            return value
        if isinstance(value, tuple | list):
            value = [
                _as_run(one) if isinstance(one, GpuPlacement) else one for one in value
            ]
        return cls(handler(value))


def _runs_of(gpus: PlacedGpus) -> tuple[EqualGpus, ...]:
    return gpus.runs


def _runs_or_gpus(gpus: Iterable[GpuPlacement]) -> Iterable[GpuPlacement]:
    return gpus.runs if isinstance(gpus, PlacedGpus) else gpus


def _as_run(gpu: GpuPlacement) -> EqualGpus:
    if isinstance(gpu, EqualGpus):
        return gpu
    return EqualGpus.of(gpu, gpu_index=gpu.gpu_index, num_gpus=1)


def _made(kind: type[G], values: dict[str, Any]) -> G:
    """Return a record of values that were validated with another.

    As BaseModel.model_construct() does, which takes ten times as long.
    """
    made = kind.__new__(kind)
    object.__setattr__(made, "__dict__", values)
    object.__setattr__(made, "__pydantic_fields_set__", set(values))
    object.__setattr__(made, "__pydantic_extra__", None)
    object.__setattr__(made, "__pydantic_private__", None)
    return made
